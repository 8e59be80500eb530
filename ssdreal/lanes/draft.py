"""The draft as a method sees it: a proxy of the draft's worker process."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from simpy import Event

from ssdreal.channel.messages import Done, Fork, Speculate
from ssdreal.lanes.base import Worker
from ssdreal.lanes.speculation_cache import RealTree
from ssdreal.lanes.speculations import (
    Drafted,
    ahead_of,
    drafted_from,
    lines_ahead,
    lines_of,
    take_up,
)
from ssdsim.decoding.protocol import Row, Tree
from ssdsim.lengths.base import Control, Stopping
from ssdsim.outcomes import Outcome, Speculation, Speculator, chain
from ssdsim.run.tables import Span
from ssdsim.trees.base import TokenTree
from ssdsim.trees.chain import Chain


@dataclass(eq=False)
class RealDraft(Worker):
    """The draft. When its worker is lost it drafts nothing, and the run goes on.

    Attributes
    ----------
    vocabulary
        Token ids there are.
    most
        Branches of a row that there is room for.
    length
        When a chain ends before its limit.
    asked
        What it drafts, as much of it as `length` leaves.
    trees, phases
        Trees begun, and how many a round.
    stoppable
        Whether it may be told to leave branches unfinished.
    forking
        The worker's last search for candidates; None before the first, once a span has its time,
        or once the worker is lost.

    """

    vocabulary: int = 0
    most: int = 1
    length: Control = field(default_factory=lambda: Control(0))
    asked: TokenTree = field(default_factory=Chain)
    trees: int = 0
    phases: int = 1
    stoppable: bool = True
    forking: Done | None = None
    take_up = staticmethod(take_up)

    @property
    def tree(self) -> TokenTree:
        """What it drafts this round."""
        return self.length.within(self.asked)

    def exchange(self, rows: Sequence[Row], lookahead: int) -> None:
        """Spend no time: messages take what they take."""

    def exchange_seconds(self, rows: Sequence[Row], lookahead: int) -> float:  # noqa: ARG002
        """Return none: other times are measured with the messages that ask for them."""
        return 0.0

    def speculate(self, rows: Sequence[Row], lookahead: int, speculator: Speculator) -> Event:
        """Draft at most `lookahead` tokens a row in series."""
        stopping = self.length.stopping(lookahead)
        nodes = self.length.nodes
        answer = self.remote.ask(Speculate, lines_of(rows), stopping=stopping, nodes=nodes)
        span = self.open("speculate", rows, self.recorder.verifies, len(rows))
        return self.env.process(self._speculated(rows, span, speculator, answer))

    def run_on(self, rows: Sequence[Row], length: int) -> Event:
        """Draft `length` more tokens a row past all that it has."""
        lines = lines_ahead(rows)
        answer = self.remote.ask(Speculate, lines, stopping=Stopping(length))
        span = self.open("speculate", rows, self.recorder.verifies, len(rows))
        known = [(row, row.ahead, line.tokens) for row, line in zip(rows, lines, strict=True)]
        return self.env.process(self._ran_on(known, span, answer))

    def ahead(self, row: Row, length: int, start: int = 0) -> Speculation:
        """Return `length` tokens that the draft has past the committed ones and `start` more."""
        tokens = ahead_of(row)[start : start + length]
        return Drafted(chain(len(tokens)), "primary" if tokens else "none", tokens)

    def continued(self, row: Row, speculation: Speculation) -> bool:
        """Tell whether nothing that a verified speculation came to parts with what is ahead."""
        accepted, bonus = row.text.outcome
        had = ahead_of(row)[: accepted + 1]
        return had == (*speculation.tokens[:accepted], bonus)[: len(had)]

    def adopt(
        self,
        rows: Sequence[Row],
        proposals: Sequence[Sequence[int]],
        lookahead: int,
        seconds: float,  # noqa: ARG002 - it has taken what it took
    ) -> Event:
        """Take a proposal a row."""
        found = [
            Drafted(chain(len(tokens)), "backup", tuple(tokens))
            for tokens in (proposal[:lookahead] for proposal in proposals)
        ]
        span = self.open("speculate", rows, self.recorder.verifies, len(rows))
        span.tokens = sum(speculation.length for speculation in found)
        self.recorder.spans.append(span)
        for row in rows:
            row.work, row.text.ids = span, ()
        return self.env.event().succeed(found)

    def fork(self, rows: Sequence[Row], speculations: Sequence[Speculation]) -> Event:
        """Find the candidates after every node, in one pass (the "glue")."""
        blocks = tuple(speculation.tokens for speculation in speculations)
        parents = self.parents(speculations)
        answer = self.remote.ask(Fork, lines_of(rows), blocks=blocks, parents=parents)
        forked = self.env.process(self._forked(rows, speculations, answer))
        for row in rows:
            row.text.fork = forked
        return forked

    def parents(self, blocks: Sequence[Speculation]) -> tuple[tuple[int, ...], ...]:
        """Return what each drafted token of trees follows; nothing where they are chains."""
        return () if isinstance(self.tree, Chain) else tuple(block.parents for block in blocks)

    def prespeculate(
        self, rows: Sequence[Row], predictions: Sequence[frozenset[Outcome]], lookahead: int
    ) -> Tree:
        """Start to draft `lookahead` tokens for every predicted outcome."""
        return RealTree(self, rows, predictions, lookahead)

    def branches_within(self, seconds: float, rows: Sequence[Row], lookahead: int) -> int:
        """Return how many branches a row can be drafted in `seconds`."""
        left = seconds - self.pace("glue", len(rows) * (self.tree.nodes(lookahead) + 1))
        fits = [
            branches
            for branches in range(1, self.most + 1)
            if self._steps_seconds("tree", len(rows) * branches, lookahead) <= left
        ]
        return max(fits, default=0)

    def steps_within(
        self, seconds: float, rows: Sequence[Row], branches: int, lookahead: int
    ) -> int:
        """Return how many steps, at most `lookahead`, of so many branches take `seconds`.

        The round's first ones come behind the pass that gives the candidates.
        """
        first = self.forking is not None
        glue = len(rows) * (self.tree.nodes(lookahead) + 1)
        left = seconds - (self.pace("glue", glue) if first else 0.0)
        deep = range(lookahead, 0, -1)
        return next((K for K in deep if self._steps_seconds("tree", branches, K) <= left), 0)

    def speculate_seconds(self, rows: Sequence[Row], lookahead: int) -> float:
        """Return the seconds that `speculate` is expected to take."""
        return self._steps_seconds("step", len(rows), lookahead)

    def step_seconds(self, rows: Sequence[Row]) -> float:
        """Return the seconds that one more token a row is expected to take."""
        return self.pace("step", len(rows))

    def _steps_seconds(self, alone: str, branches: int, steps: int) -> float:
        """Return the seconds of so many steps; those with one node a branch are passes `alone`."""
        return sum(
            self.pace(alone if nodes == 1 else "tree", nodes * branches)
            for nodes in self.tree.passes(steps)
        )

    def _ran_on(
        self, known: Sequence[tuple[Row, list[Span], tuple[int, ...]]], span: Span, answer: Event
    ) -> Generator[Event, Any, int]:
        done = yield answer
        if done is None:
            return 0
        chains = done.value.rows
        self.close(span, done, sum(len(drafted.tokens) for drafted in chains))
        for (row, ahead, before), drafted in zip(known, chains, strict=True):
            self.take_up(row, ahead, before, drafted.tokens, span)
        return len(chains[0].tokens)

    def _speculated(
        self, rows: Sequence[Row], span: Span, speculator: Speculator, answer: Event
    ) -> Generator[Event, Any, list[Speculation]]:
        done = yield answer
        for row in rows:
            row.text.ids = ()
        if done is None:
            return [Drafted((), "none") for _ in rows]
        chains = done.value.rows
        self.close(span, done, sum(len(drafted.tokens) for drafted in chains))
        for row in rows:
            row.work = span
        return [drafted_from(found, speculator) for found in chains]

    def _forked(
        self, rows: Sequence[Row], speculations: Sequence[Speculation], answer: Event
    ) -> Generator[Event, Any, list[Speculation]]:
        done = yield answer
        self.forking = done
        if done is None:
            return list(speculations)
        for row, candidates in zip(rows, done.value.rows, strict=True):
            row.text.ids = candidates.ids
        return [
            replace(speculation, candidates=candidates.beliefs)
            for speculation, candidates in zip(speculations, done.value.rows, strict=True)
        ]
