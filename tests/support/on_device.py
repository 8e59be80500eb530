"""Device samplers behind the interface of host ones, so that the same tests are theirs."""

import numpy as np
import torch

from ssdreal.static import drafter, verifier
from ssdreal.static.capture import Lane
from ssdreal.static.draft_server import candidates
from ssdreal.static.gumbel_rows import GumbelRows
from ssdreal.static.sampling_rules import NO_TOKEN
from ssdreal.static.sampling_rules import samples as device_samples
from ssdreal.static.sampling_rules import top as device_top

HOST = torch.device("cpu")


def rows(decoding, seed, vocabulary, ids):
    if not decoding.perturbed:
        return None
    return GumbelRows(Lane(HOST), seed, vocabulary, ids, 1, 8)


def tensor(ids):
    return None if ids is None else torch.as_tensor(ids)


class OnDevice:
    def __init__(self, decoding, seed, vocabulary, ids=None):
        self.ids, self.noise = tensor(ids), rows(decoding, seed, vocabulary, tensor(ids))
        self.sampler = self.kind(decoding, seed, self.ids, self.noise, HOST)

    def addresses(self, where):
        """Return sequence and positions of one slot's tokens, which have their noise then."""
        (seq, *_), positions = zip(*where, strict=True)
        if self.noise is not None:
            self.noise.need({0: (seq, positions[0], len(positions))})
        return torch.tensor([[seq]]), torch.tensor([positions])


class Drafter(OnDevice):
    kind = drafter.DeviceDrafter

    def choose(self, logits, where, step):
        sequences, positions = self.addresses(where)
        found = self.sampler.choose(
            torch.from_numpy(logits)[None], sequences, positions, torch.tensor([step])
        )
        return tuple(None if part is None else part[0].numpy() for part in found)

    def candidates(self, logits, where, sent, count):
        _, positions = self.addresses(where)
        most = max(1, *map(len, sent))
        rows = [[*out, *[NO_TOKEN] * (most - len(out))] for out in sent]
        count = min(count, logits.shape[-1])
        ids, beliefs = self.sampler.candidates(
            torch.from_numpy(logits)[None], positions, torch.tensor([rows]), count
        )
        found = candidates(ids[0].numpy(), beliefs[0].numpy())
        return np.array(found.ids), np.array(found.beliefs)


class Verifier(OnDevice):
    """A draft's `ids` are known when it is made."""

    kind = verifier.DeviceVerifier

    def __init__(self, decoding, seed, vocabulary):
        self.made = decoding, seed, vocabulary
        super().__init__(*self.made)

    def verify(self, logits, seq, start, tokens, q):
        where = [(seq, start + k) for k in range(len(logits))]
        sequences, positions = self.addresses(where)
        logits = torch.from_numpy(logits)[None]
        if not self.made[0].needs_probabilities:
            own = self.sampler.own(logits, positions)[0].tolist()
            differs = [k for k, token in enumerate(tokens) if own[k] != token]
            accepted = min(differs, default=len(tokens))
            return accepted, own[accepted]
        self.sampler.ids = None if q is None else tensor(q.ids)
        weights = np.ones((len(tokens), self.made[2]), np.float32) if q is None else q.rows
        drafted = verifier.Drafted(
            torch.tensor([tokens], dtype=torch.int64),
            torch.tensor([len(tokens)]),
            torch.tensor([int(q is None)]),
            torch.from_numpy(weights)[None],
        )
        accepted, bonus = self.sampler.verify(logits, sequences, positions, drafted)
        return int(accepted), int(bonus)

    def own(self, logits, seq, position):
        _, positions = self.addresses([(seq, position)])
        return int(self.sampler.own(torch.from_numpy(logits)[None, None], positions))


def samples(weights, uniforms):
    return device_samples(torch.from_numpy(weights), torch.from_numpy(uniforms)).numpy()


def top(scores, count):
    return device_top(torch.tensor(scores, dtype=torch.float32), count).numpy()
