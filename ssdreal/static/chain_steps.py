"""Draft steps on the device: each step's chosen token is the next step's input."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from ssdreal.models.pass_request import chain_mask
from ssdreal.static.capture import Inputs, Output
from ssdreal.static.drafter import DeviceDrafter
from ssdreal.static.passes import Block, StaticReader

STEPS = 16
"""Whose tokens are kept until the host takes them."""


class Columns(NamedTuple):
    """How chains lie side by side.

    Attributes
    ----------
    width
        How many they may be: the tokens of a slot in every pass.
    stride
        How far apart in the cache the entries of a chain are.
    steps
        Whose tokens are kept until the host takes them.

    """

    width: int
    stride: int
    steps: int


class Growth:
    """Columns of chains in every slot, all of which grow by a token a step.

    Parameters
    ----------
    reader, drafter
        The model, and how it chooses.
    columns
        How the chains lie.
    pages
        Where distributions go, (pages, slots, branches, K, head rows); None: nowhere.

    Attributes
    ----------
    sequences, active
        (slots, 1): of the noise, and 1 where the slot takes part, else 0.
    page
        (1,): which of the pages.
    tokens, positions, at
        (slots, width): the tokens that the next step reads.
    taken
        Steps so far, (1,).

    """

    def __init__(
        self,
        reader: StaticReader,
        drafter: DeviceDrafter,
        columns: Columns,
        pages: Tensor | None,
    ) -> None:
        self.reader, self.drafter, self.pages = reader, drafter, pages
        self.width, self.stride, self.steps = columns
        self.lane, slots, width = reader.lane, reader.slots, self.width
        self.last = reader.capacity - 1

        def numbers(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.int64, device=self.lane.device)

        self.tokens, self.positions, self.at = (numbers(slots, width) for _ in range(3))
        self.sequences, self.active = numbers(slots, 1), numbers(slots, 1)
        self.page, self.taken = numbers(1), numbers(1)
        self.slots = torch.arange(slots, device=self.lane.device)[:, None]
        self.columns = torch.arange(width, device=self.lane.device)
        self.history = Output(self.lane, (2, slots, width, self.steps))

    def start(self, given: Mapping[str, Tensor]) -> None:
        """Take over whose chains these are."""
        for name in ("sequences", "active", "page"):
            getattr(self, name).copy_(given[name])
        self.taken.zero_()

    def take(self, logits: Tensor) -> None:
        """Let every chain grow, from the logits (slots, width, head rows) after its last token."""
        tokens, sure, sends = self.drafter.choose(
            logits, self.sequences, self.positions + 1, self.taken
        )
        found = torch.stack((tokens.double(), sure))[..., None]
        self.history.tensor.index_copy_(-1, self.taken % self.steps, found)
        if self.pages is not None and sends is not None:
            self._write(self.pages, sends)
        self.tokens.copy_(tokens)
        self.positions += 1
        self.at.add_(self.stride).clamp_(max=self.last)
        self.taken += 1

    def step(self) -> None:
        """Read the last token of every chain, and let it grow."""
        self.take(self.reader.forward(self.tokens, self.positions, self.at, self.mask()))

    def mask(self) -> Tensor:
        """Return what each token sees, (slots, width, capacity): here all before its own entry."""
        return chain_mask(self.at, self.last + 1)

    def _write(self, pages: Tensor, sends: Tensor) -> None:
        """Put down what tokens were sampled from; others' pages stay as they are."""
        step = self.taken.clamp(max=pages.shape[3] - 1)  # while warming up it may be any
        here = self.page, self.slots, self.columns[: self.stride], step
        sends = sends[:, : self.stride]
        pages[here] = torch.where(self.active[..., None] > 0, sends, pages[here])


class Chains(Growth):
    """A chain a slot, behind its text.

    Attributes
    ----------
    first
        The pass over what is new of the texts, which chooses a token after each. Beside what
        `start` takes it is told `last`, the column of a text's last token.

    """

    def __init__(
        self, reader: StaticReader, drafter: DeviceDrafter, width: int, pages: Tensor | None
    ) -> None:
        super().__init__(reader, drafter, Columns(1, 1, STEPS), pages)
        row = (reader.slots, 1)
        shapes = {"sequences": row, "active": row, "last": row, "page": (1,)}
        self.first = Block(reader, width, self._begin, **shapes)
        self.replay = self.lane.capture(self.step)

    def _begin(self, logits: Tensor, positions: Tensor, given: Mapping[str, Tensor]) -> None:
        self.start(given)
        last = given["last"]
        self.positions.copy_(positions.gather(1, last))
        self.at.copy_(self.positions)
        self.take(logits[self.slots, last])


class Branches(Growth):
    """Branches of a tree: they see a part of their slot's text, and themselves.

    There are at most as many as the stride; what columns there are beyond is junk.

    Attributes
    ----------
    inputs
        Numbers that say where each begins: `tokens` and `prefix` (slots, width), its first token
        and how many of the first entries it sees; `free` (slots, 1), the first entry that may be
        written to; and what `start` takes.

    """

    def __init__(
        self,
        reader: StaticReader,
        drafter: DeviceDrafter,
        columns: Columns,
        pages: Tensor | None,
    ) -> None:
        super().__init__(reader, drafter, columns, pages)
        slots, device = reader.slots, self.lane.device
        shape = (slots, self.width)
        self.sees = torch.zeros((*shape, self.last + 1), dtype=torch.bool, device=device)
        self.entries = torch.arange(self.last + 1, device=device)
        row = (slots, 1)
        self.inputs = Inputs(
            self.lane, tokens=shape, prefix=shape, free=row, sequences=row, active=row, page=(1,)
        )
        self.begin = self.lane.capture(self._begin)
        self.replay = self.lane.capture(self.step)

    def mask(self) -> Tensor:
        """Return what each token sees, its own entry now too."""
        self.sees.scatter_(-1, self.at[..., None], True)
        return self.sees

    def _begin(self) -> None:
        given = self.inputs.tensors
        self.start(given)
        self.tokens.copy_(given["tokens"])
        self.positions.copy_(given["prefix"])
        # What is no branch has its junk in the last entry, which is nobody's.
        branch = (given["active"] > 0) & (self.columns < self.stride)
        self.at.copy_(torch.where(branch, given["free"] + self.columns, self.last))
        self.sees.copy_(self.entries < given["prefix"][..., None])
