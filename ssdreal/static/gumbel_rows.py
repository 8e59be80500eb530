"""A cache of Gumbel noise rows on the device, since several passes need the same row."""

from collections.abc import Mapping

import torch
from torch import Tensor

from ssdreal.static.capture import Inputs, Lane
from ssdreal.static.noise import blocks, fused_alike, gumbel, key

AT_ONCE = 8
"""Rows of a slot that a pass makes."""


class GumbelRows:
    """The noise of the last positions of every slot.

    A pass looks its rows up by position, so whoever replays it says first which it needs.

    Parameters
    ----------
    lane
        Where they are.
    seed
        Of the run.
    vocabulary, ids
        Token ids there are, and those that have a column; None: all.
    slots, span
        How many sequences, and rows of each: consecutive positions never share one.

    """

    def __init__(
        self, lane: Lane, seed: int, vocabulary: int, ids: Tensor | None, slots: int, span: int
    ) -> None:
        self.lane, self.key, self.vocabulary = lane, key(seed, lane.device), vocabulary
        self.ids, self.span = ids, span
        columns = vocabulary if ids is None else len(ids)
        # The row behind the others takes what a pass makes beyond what is needed.
        self.table = torch.zeros((slots, span + 1, columns), device=lane.device)
        self.slots = torch.arange(slots, device=lane.device)[:, None]
        self.held: dict[tuple[int, int], tuple[int, int]] = {}
        shape = (slots, AT_ONCE)
        self.inputs = Inputs(lane, sequences=(slots, 1), positions=shape, rows=shape)
        self.counters = blocks(vocabulary, lane.device)
        self.gumbel = fused_alike(gumbel, lane.device, *self._arguments())
        self.replay = lane.capture(self._make)

    def need(self, wanted: Mapping[int, tuple[int, int, int]]) -> None:
        """Have the rows of these positions, for each slot (sequence, start, count)."""
        missing = {
            slot: (seq, lacking)
            for slot, (seq, start, count) in wanted.items()
            if (lacking := self._lacking(slot, seq, range(start, start + count)))
        }
        for first in range(0, max((len(at) for _, at in missing.values()), default=0), AT_ONCE):
            numbers = self.inputs.numbers
            numbers["rows"][:] = self.span
            for slot, (seq, positions) in missing.items():
                for column, position in enumerate(positions[first : first + AT_ONCE]):
                    row = position % self.span
                    numbers["rows"][slot, column] = row
                    numbers["positions"][slot, column] = position
                    self.held[slot, row] = seq, position
                numbers["sequences"][slot] = seq
            self.inputs.send()
            self.replay()

    def of(self, positions: Tensor) -> Tensor:
        """Return the rows of positions (slots, N), shape (slots, N, columns)."""
        return self.table[self.slots, positions % self.span]

    def _lacking(self, slot: int, seq: int, positions: range) -> list[int]:
        return [at for at in positions if self.held.get((slot, at % self.span)) != (seq, at)]

    def _arguments(self) -> tuple[Tensor, Tensor, Tensor, Tensor, int]:
        given = self.inputs.tensors
        addresses = given["sequences"], given["positions"]
        return self.key, *addresses, self.counters, self.vocabulary

    def _make(self) -> None:
        given = self.inputs.tensors
        found = self.gumbel(*self._arguments())
        found = found if self.ids is None else found[..., self.ids]
        self.table[self.slots, given["rows"]] = found
