"""The target's worker on a GPU: a verify is one captured pass that also accepts or rejects.

Where nothing is left to chance the target's own tokens come back; where it is, how many tokens are
accepted, and what follows them.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from ssdreal.channel.message_parts import Block as Chain
from ssdreal.channel.messages import Begin, Paces, Verified, Verify
from ssdreal.serving.sampling import NotFinite
from ssdreal.serving.self_server import SelfServer
from ssdreal.serving.server import median_seconds
from ssdreal.serving.target_server import TargetServer
from ssdreal.static.capture import Output
from ssdreal.static.passes import Block
from ssdreal.static.sampling_rules import NO_TOKEN
from ssdreal.static.server import StaticServer
from ssdreal.static.verifier import DeviceVerifier, Drafted


class StaticTargetServer(StaticServer, TargetServer):
    """Verifies; every pass of a run has the same shape."""

    def made(self) -> tuple[str, ...]:
        """Return the names of what is made for each run."""
        return (*super().made(), "deciding", "weights", "block", "found")

    def prepare(self, command: Begin) -> None:
        """Capture all passes."""
        super().prepare(command)
        slots, width, device = command.slots, command.width, self.lane.device
        self.rows = self.noise(command, width)
        ids = None if command.draft_ids is None else torch.tensor(command.draft_ids, device=device)
        self.deciding = DeviceVerifier(command.decoding, command.seed, ids, self.rows, device)
        row = (slots, 1)
        if command.decoding.needs_probabilities:
            columns = self.model.vocabulary if ids is None else len(ids)
            self.weights = torch.ones((slots, width - 1, columns), device=device)
            self.found = Output(self.lane, (slots, 2))
            shapes = {"sequences": row, "lengths": (slots,), "certain": (slots,)}
            self.block = Block(self.reader, width, self._decide, **shapes)
        else:
            self.found = Output(self.lane, (slots, width))
            self.block = Block(self.reader, width, self._own)

    def verify(self, command: Verify) -> Verified:
        """Return how many tokens of every row are accepted, and the one that follows.

        Token trees have another shape every round: they are verified as on a host.
        """
        if self.tree is not None:
            return super().verify(command)
        lines, blocks = command.lines, command.blocks
        maximal = self.shape.decoding.needs_probabilities
        if maximal:
            for line, block in zip(lines, blocks, strict=True):
                self._bring(line.slot, line.seq, block)
        if self.rows is not None:
            width = self.block.width
            self.rows.need({line.slot: (line.seq, len(line.tokens), width) for line in lines})
        texts = {
            line.slot: (*line.tokens, *block.tokens)
            for line, block in zip(lines, blocks, strict=True)
        }
        self.block.read(texts, {line.slot: len(line.tokens) - 1 for line in lines})
        found = self.found.fetch().astype(int).tolist()
        outcomes = (
            found[line.slot] if maximal else _followed(found[line.slot], block.tokens)
            for line, block in zip(lines, blocks, strict=True)
        )
        return Verified(tuple(_there(*outcome) for outcome in outcomes))

    def warm_up(self, command: Begin) -> Paces:
        """Return the seconds of a verify over the run's tokens."""

        def verify() -> None:
            self.block.replay()
            self.found.fetch()

        tokens = command.slots * command.width
        return Paces({"verify": ((tokens, median_seconds(verify)),)})

    def _bring(self, slot: int, seq: int, block: Chain) -> None:
        """Have what a chain was sampled from where the pass looks for it."""
        numbers, length = self.block.inputs.numbers, len(block.tokens)
        numbers["sequences"][slot], numbers["lengths"][slot] = seq, length
        numbers["certain"][slot] = block.place is None
        if block.place is not None and self.pages is not None:
            rows = torch.as_tensor(self.pages.read(block.place, length))
            self.weights[slot, :length].copy_(rows, non_blocking=True)

    def _own(self, logits: Tensor, positions: Tensor, _: Mapping[str, Tensor]) -> None:
        self.found.tensor.copy_(self.deciding.own(logits, positions + 1))

    def _decide(self, logits: Tensor, positions: Tensor, given: Mapping[str, Tensor]) -> None:
        drafted = Drafted(given["tokens"][:, 1:], given["lengths"], given["certain"], self.weights)
        found = self.deciding.verify(logits, given["sequences"], positions + 1, drafted)
        self.found.tensor.copy_(torch.stack(found, dim=-1))


class StaticSelfServer(SelfServer, StaticTargetServer):
    """Verifies so, and drafts for itself where a run says what to leave out of the model.

    These drafts run pass by pass, as on a host.
    """

    def made(self) -> tuple[str, ...]:
        """Return the names of what is made for each run."""
        return (*super().made(), "drafting")


def _there(accepted: int, token: int) -> tuple[int, int]:
    """Return how a verify ended, if there was a distribution that its token came from."""
    if token == NO_TOKEN:
        raise NotFinite
    return accepted, token


def _followed(own: list[int], tokens: tuple[int, ...]) -> tuple[int, int]:
    """Return how many of the tokens are the target's own, and its own one after them."""
    accepted = next((k for k, token in enumerate(tokens) if own[k] != token), len(tokens))
    return accepted, own[accepted]
