"""A tree of branches while it is being grown: one pass a step over all of them."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ssdreal.channel.messages import Branches, Chain, Grow, Line, Stop
from ssdreal.channel.pages import Place
from ssdreal.serving.drafter import Drafter
from ssdreal.serving.reader import Reader
from ssdreal.serving.sampling import Logits

Ints = NDArray[np.int64]


class Tree:
    """Branches behind the rows' blocks: each starts at an outcome's node with its bonus token.

    A branch sees its row's text, the accepted part of the block, and itself. Its entries lie
    behind the block's, so that nothing of what the reader holds is touched.

    Attributes
    ----------
    live
        For every row the branches that still grow.

    """

    def __init__(self, reader: Reader, drafter: Drafter, command: Grow) -> None:
        self.reader, self.drafter, self.command = reader, drafter, command
        self.branches = [
            [_Branch(line, at, outcome) for at, outcome in enumerate(outcomes)]
            for line, outcomes in zip(command.lines, command.outcomes, strict=True)
        ]
        self.live = [list(branches) for branches in self.branches]
        self.free = [len(line.tokens) + len(block) for line, block in _rows(command)]
        self.tokens = 0

    def narrow(self, stop: Stop) -> bool:
        """Drop the losing branches; return whether there is anything left to grow.

        A winner that is not to be finished still gets its first token: an empty speculation would
        be no better than a miss.
        """
        if not stop.finish:
            return self.tokens == 0 and any(winner is not None for winner in stop.winners)
        self.live = [
            [branch for branch in live if branch.outcome == winner]
            for live, winner in zip(self.live, stop.winners, strict=True)
        ]
        return any(self.live)

    def grow(self) -> Iterator[tuple[Place, Logits]]:
        """Draft one token for every live branch; yield where its probabilities go, and them."""
        logits = self._logits()
        branches = [branch for live in self.live for branch in live]
        where = [(branch.line.seq, branch.position) for branch in branches]
        tokens, confident, rows = self.drafter.choose(logits, where, len(branches[0].tokens))
        for at, branch in enumerate(branches):
            branch.tokens.append(int(tokens[at]))
            branch.confidences.append(float(confident[at]))
            if rows is not None:
                yield self._place(branch), rows[at]
        self.tokens += len(branches)
        ends = self.command.stopping.ends
        self.live = [
            [branch for branch in live if not ends(branch.confidences)] for live in self.live
        ]

    def result(self, shared: bool) -> Branches:
        """Return what was drafted."""
        rows = (
            {
                branch.outcome: branch.chain(self._place(branch) if shared else None)
                for branch in row
            }
            for row in self.branches
        )
        return Branches(tuple(rows), self.tokens)

    def _place(self, branch: "_Branch") -> Place:
        return Place(self.command.page, branch.line.slot, branch.number)

    def _logits(self) -> Logits:
        """Return the logits after the last token of every live branch, one row each."""
        slots, most = len(self.reader.texts), max(map(len, self.live))
        tokens, positions, at = (np.zeros((slots, most), np.int64) for _ in range(3))
        extent = 1 + max(free + len(live) for free, live in zip(self.free, self.live, strict=True))
        sees = np.zeros((slots, most, extent), np.bool_)
        at[:] = extent - 1  # an entry for the junk of rows with fewer branches than others
        for row, (line, live) in enumerate(zip(self.command.lines, self.live, strict=True)):
            for column, branch in enumerate(live):
                branch.entries.append(self.free[row] + column)
                tokens[line.slot, column] = branch.last
                positions[line.slot, column] = branch.position - 1
                at[line.slot, column] = branch.entries[-1]
                sees[line.slot, column, : branch.prefix] = True
                sees[line.slot, column, branch.entries] = True
            self.free[row] += len(live)
        found = self.reader.look(tokens, positions, at, sees)
        rows = zip(self.command.lines, self.live, strict=True)
        return np.concatenate([found[line.slot, : len(live)] for line, live in rows])


class _Branch:
    """One predicted outcome and the chain drafted for it."""

    def __init__(self, line: Line, number: int, outcome: tuple[int, int]) -> None:
        self.line, self.number, self.outcome = line, number, outcome
        self.prefix = len(line.tokens) + outcome[0]
        self.tokens: list[int] = []
        self.confidences: list[float] = []
        self.entries: list[int] = []

    @property
    def last(self) -> int:
        """The token that the next one follows."""
        return self.tokens[-1] if self.tokens else self.outcome[1]

    @property
    def position(self) -> int:
        """Where the next token will stand: behind text, accepted part, bonus, and the chain."""
        return self.prefix + 1 + len(self.tokens)

    def chain(self, place: Place | None) -> Chain:
        return Chain(tuple(self.tokens), tuple(self.confidences), place)


def _rows(command: Grow) -> Iterator[tuple[Line, Sequence[int]]]:
    return zip(command.lines, command.blocks, strict=True)
