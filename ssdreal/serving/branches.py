"""Grows the branches of a round (one a predicted outcome): one draft pass a step over them all."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from ssdreal.channel.message_parts import Chain, Line
from ssdreal.channel.messages import Branches, Grow, Stop
from ssdreal.channel.probability_pages import Place
from ssdreal.serving.drafter import Drafter
from ssdreal.serving.reader import Reader
from ssdreal.serving.sampling import Logits
from ssdreal.serving.tree_pass import Continued, PendingToken, compute_tips
from ssdsim.lengths.base import Stopping

Write = Callable[[Place, int, Logits], None]
"""Puts down, for a place, what the token of one step was sampled from."""


class Branch(Continued, Protocol):
    """What is drafted for one predicted outcome (node, bonus token)."""

    @property
    def outcome(self) -> tuple[int, int]:
        """Which outcome."""
        ...

    @property
    def grows(self) -> bool:
        """Whether there is more to draft."""
        ...

    def result(self, shared: bool) -> Chain:
        """Return what has been drafted; `shared`: probabilities are in the shared pages."""
        ...


class Tree:
    """The rows' branches: each starts behind an outcome's node with its bonus token.

    A branch sees its row's text, the accepted part of the block, and itself. Its entries lie
    behind the block's, so that nothing of what the reader holds is touched.

    Attributes
    ----------
    branches
        For every row, one an outcome.
    live
        Those that still grow.
    steps
        Passes done.

    """

    def __init__(self, reader: Reader, drafter: Drafter, command: Grow) -> None:
        self.reader, self.drafter, self.command = reader, drafter, command
        self.branches: list[list[Branch]] = [
            [
                self._branch(line, row, outcome, Place(command.page, line.slot, at))
                for at, outcome in enumerate(command.outcomes[row])
            ]
            for row, line in enumerate(command.lines)
        ]
        self.live = [list(branches) for branches in self.branches]
        blocks = zip(command.lines, command.blocks, strict=True)
        self.free = {line.slot: len(line.tokens) + len(block) for line, block in blocks}
        self.steps = 0

    def narrow(self, stop: Stop) -> bool:
        """Drop the losing branches; return whether there is anything left to grow.

        A winner that is not to be finished still gets its first token: an empty speculation would
        be no better than a miss.
        """
        if not stop.finish:
            return self.steps == 0 and any(winner is not None for winner in stop.winners)
        self.live = [
            [branch for branch in live if branch.outcome == winner]
            for live, winner in zip(self.live, stop.winners, strict=True)
        ]
        return any(self.live)

    def grow(self, write: Write) -> None:
        """Draft one token, or one level, for every live branch."""
        branches = [branch for live in self.live for branch in live]
        self._draft(branches, compute_tips(self.reader, branches, self.free), write)
        self.steps += 1
        self.live = [[branch for branch in live if branch.grows] for live in self.live]

    def result(self, shared: bool) -> Branches:
        """Return what was drafted."""
        rows = [{branch.outcome: branch.result(shared) for branch in row} for row in self.branches]
        drafted = sum(len(chain.tokens) for row in rows for chain in row.values())
        return Branches(tuple(rows), drafted)

    def _branch(self, line: Line, row: int, outcome: tuple[int, int], place: Place) -> Branch:  # noqa: ARG002 - where blocks are trees
        return ChainBranch(line, outcome, place, self.command.stopping)

    def _draft(self, branches: Sequence[Any], logits: Logits, write: Write) -> None:
        where = [(branch.line.seq, branch.position) for branch in branches]
        tokens, confident, rows = self.drafter.choose(logits, where, self.steps)
        for at, branch in enumerate(branches):
            branch.tokens.append(int(tokens[at]))
            branch.confidences.append(float(confident[at]))
            if rows is not None:
                write(branch.place, self.steps, rows[at])


class ChainBranch:
    """A chain that continues one predicted outcome's bonus token."""

    def __init__(
        self, line: Line, outcome: tuple[int, int], place: Place, stopping: Stopping
    ) -> None:
        self.line, self.outcome, self.place, self.stopping = line, outcome, place, stopping
        self.prefix = len(line.tokens) + outcome[0]
        self.tokens: list[int] = []
        self.confidences: list[float] = []
        self.entries: tuple[int, ...] = ()

    @property
    def last(self) -> int:
        """The token that the next one follows."""
        return self.tokens[-1] if self.tokens else self.outcome[1]

    @property
    def position(self) -> int:
        """Where the next token will stand: behind text, accepted part, bonus, and the chain."""
        return self.prefix + 1 + len(self.tokens)

    @property
    def grows(self) -> bool:
        """Whether there is more to draft."""
        return not self.stopping.ends(self.confidences)

    def pending_tokens(self) -> Iterator[PendingToken]:
        """Yield its last token."""
        yield PendingToken(self.line.slot, self.prefix, self.last, self.position - 1, self.entries)

    def rooted(self, pending_tokens: Iterator[PendingToken]) -> None:
        """Take it back, computed."""
        self.entries = next(pending_tokens).behind

    def result(self, shared: bool) -> Chain:
        """Return what has been drafted."""
        place = self.place if shared else None
        return Chain(tuple(self.tokens), tuple(self.confidences), place)
