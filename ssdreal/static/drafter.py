"""Chooses drafted tokens and ranks candidates on the device, as `ssdreal.serving.drafter` does."""

import torch
from torch import Tensor
from torch.nn import functional

from ssdreal.static.sampler import DeviceSampler
from ssdreal.static.sampling_rules import (
    NO_TOKEN,
    best,
    held_back,
    probabilities,
    samples,
    softmax,
    softmax_at,
    top,
)
from ssdsim.sampling.noise import ROLES
from ssdsim.sampling.settings import Decoding


class DeviceDrafter(DeviceSampler):
    """Chooses tokens from a draft's logits, and ranks candidates.

    `ids` are those of its own logits.
    """

    def choose(
        self, logits: Tensor, sequences: Tensor, positions: Tensor, step: Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Draft a token after each of these.

        Parameters
        ----------
        logits
            (slots, N, columns).
        sequences, positions
            (slots, 1) and (slots, N): addresses of the tokens to be drafted.
        step
            How many tokens their chains have so far.

        Returns
        -------
        tuple
            Token ids (slots, N), the draft's probability of each, and what they were sampled
            from, (slots, N, columns); None where sampling leaves nothing to chance.

        """
        if not self.decoding.needs_probabilities:
            columns, sure = self.fused(chosen)(self.scores(logits, positions))
            return self.named(columns), sure, None
        luck = self.uniforms(self.key, sequences, positions, ROLES["propose"], step)
        columns, sure, sends = self.fused(drawn)(logits, luck, self.decoding)
        return self.named(columns), sure, sends

    def candidates(
        self, logits: Tensor, positions: Tensor, sent: Tensor, count: int
    ) -> tuple[Tensor, Tensor]:
        """Return ids and probabilities of the `count` best tokens, (slots, N, count), best first.

        Parameters
        ----------
        logits, positions
            As in `choose`.
        sent
            (slots, N, S): the tokens drafted there, which are left out; any id that there is not
            stands for none.
        count
            1 .. columns. Where fewer are left, `NO_TOKEN` stands for the rest.

        """
        scores = self.scores(logits, positions)
        found: tuple[Tensor, Tensor] = self.fused(ranked)(
            scores, logits, sent, self.ids, count, self.decoding
        )
        return found

    def named(self, columns: Tensor) -> Tensor:
        """Return the token ids of columns of the logits."""
        return named(columns, self.ids)


def named(columns: Tensor, ids: Tensor | None) -> Tensor:
    """Return the token ids of columns, which stand for `ids`, or for all there are."""
    return columns if ids is None else ids[columns]


def chosen(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Return the best column of each row, and its probability under the softmax of the scores."""
    sums = torch.exp(scores - scores.amax(-1, keepdim=True)).sum(-1, dtype=torch.float64)
    return best(scores), 1.0 / sums


def drawn(logits: Tensor, luck: Tensor, decoding: Decoding) -> tuple[Tensor, Tensor, Tensor]:
    """Return a sampled column a row, its probability before Saguaro's scaling, and all weights."""
    q = quick_probabilities(logits, decoding)
    sends = held_back(q, decoding)
    columns = samples(sends, luck)
    return columns, q.gather(-1, columns[..., None])[..., 0].double(), sends


def ranked(
    scores: Tensor,
    logits: Tensor,
    sent: Tensor,
    ids: Tensor | None,
    count: int,
    decoding: Decoding,
) -> tuple[Tensor, Tensor]:
    """Return the best tokens of each row, best first, and how likely the draft holds each."""
    columns = top(scores, min(count + sent.shape[-1], scores.shape[-1]))
    if decoding.truncates and decoding.needs_probabilities:
        beliefs = quick_probabilities(logits, decoding).gather(-1, columns)
    else:
        believed = logits / decoding.temperature if decoding.needs_probabilities else scores
        beliefs = softmax_at(believed, columns)
    found, beliefs = left_out(named(columns, ids), beliefs, sent)
    return found[..., :count], beliefs[..., :count]


def left_out(ids: Tensor, beliefs: Tensor, sent: Tensor) -> tuple[Tensor, Tensor]:
    """Return ranked tokens, (slots, N, count), and what is believed of each, without those sent.

    The others move up; `NO_TOKEN` takes the places behind them.
    """
    count = ids.shape[-1]
    places = torch.arange(count, device=ids.device)
    for token in sent.unbind(-1):
        gone = torch.where(ids == token[..., None], places, count).amin(-1, keepdim=True)
        behind = places + (places >= gone)
        ids = functional.pad(ids, (0, 1), value=NO_TOKEN).gather(-1, behind)
        beliefs = functional.pad(beliefs, (0, 1)).gather(-1, behind)
    return ids, beliefs


def quick_probabilities(logits: Tensor, decoding: Decoding) -> Tensor:
    """Return what a draft samples from, float32: it may be wrong, but not slow."""
    if decoding.truncates:
        return probabilities(logits, decoding).float()
    return softmax(logits / decoding.temperature)
