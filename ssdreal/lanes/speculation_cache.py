"""The speculation cache of a real run, while the draft's worker grows its branches."""

from collections.abc import Generator, Mapping, Sequence
from typing import Any, Protocol

from simpy import Event

from ssdreal.channel.message_parts import Chain
from ssdreal.channel.messages import Done, Grow
from ssdreal.channel.probability_pages import page_of
from ssdreal.lanes.speculations import Drafted, drafted_from, lines_of
from ssdreal.lanes.wall_clock import WallClock
from ssdreal.workers.remote import Remote
from ssdsim.decoding.branch import NO_BRANCH, Branch
from ssdsim.decoding.protocol import Row
from ssdsim.drafters.base import named
from ssdsim.lengths.base import Control
from ssdsim.outcomes import Outcome, Speculation, depths
from ssdsim.run.tables import Span
from ssdsim.run.trace import Recorder


class BranchDraft(Protocol):
    """What a tree needs of the draft that grows it.

    Attributes
    ----------
    length
        When a branch ends before its limit.
    trees, phases
        Trees grown so far, and how many a round.
    stoppable
        Whether it may be told to leave branches unfinished.
    forking
        The answer with the candidates at every node of the speculations under verification, as
        long as no span has its time.

    """

    env: WallClock
    remote: Remote
    recorder: Recorder
    length: Control
    trees: int
    phases: int
    stoppable: bool
    forking: Done | None

    def open(self, kind: str, rows: Sequence[Row], number: int, branches: int = 0) -> Span:
        """Begin a span."""
        ...

    def close(self, span: Span, done: Done, tokens: int, since: Done | None = None) -> None:
        """Write a span down with the times that its worker took."""
        ...

    def parents(self, blocks: Sequence[Speculation]) -> tuple[tuple[int, ...], ...]:
        """Return what each drafted token of trees follows; nothing where they are chains."""
        ...


class RealTree:
    """Branches that the draft grows while the target verifies, one a predicted outcome."""

    def __init__(
        self,
        draft: BranchDraft,
        rows: Sequence[Row],
        predictions: Sequence[frozenset[Outcome]],
        lookahead: int,
    ) -> None:
        self.draft, self.rows = draft, rows
        self.names = {
            row.seq: named(predicted, row.text.ids)
            for row, predicted in zip(rows, predictions, strict=True)
        }
        self.chains: dict[int, Mapping[tuple[int, int], Chain]] = {}
        self.stopping, self.stopped = draft.length.stopping(lookahead), False
        number, branches = draft.recorder.verifies - 1, sum(map(len, self.names.values()))
        self.work = draft.open("prespeculate", rows, number, branches)
        forking, draft.forking = draft.forking, None  # the span of the round's first tree has it
        self.ready = self._grow(forking)

    def wait(self, winners: Sequence[Row]) -> Event:  # noqa: ARG002 - it waits for all alike
        """Finish every branch."""
        return self.ready

    def prune(self, winners: Sequence[Row]) -> Event:
        """Drop all branches but the winning rows'; finish those."""
        return self._stop(winners, finish=True)

    def truncate(self, winners: Sequence[Row]) -> Event:
        """Stop after the step in flight."""
        return self._stop(winners, finish=False)

    def take(self, row: Row) -> Speculation:
        """Return the branch that the row's outcome chose; nothing, if the draft is lost."""
        found = self.chains.get(row.seq, {}).get(row.text.outcome)
        row.text.ids = ()
        if found is None:
            return Drafted((), "none")
        row.work = self.work
        return drafted_from(found, "primary")

    def branch(self, seq: int, outcome: Outcome) -> Branch:
        """Return what became of an outcome; of what a lost draft did nothing is known."""
        name = self.names[seq].get(outcome)
        if name is None:
            return NO_BRANCH
        found = self.chains.get(seq, {}).get(name)
        if found is None:
            return Branch(token=name[1])
        return Branch(len(found.tokens), self._finished(found), name[1], found.tokens)

    def _finished(self, found: Chain) -> bool:
        """Tell whether a branch was drafted to its end."""
        if not self.stopped:
            return True
        if found.parents:
            return max(depths(found.parents)) == self.stopping.limit
        return self.stopping.ends(found.confidences)

    def _grow(self, forking: Done | None) -> Event:
        draft = self.draft
        if not any(self.names.values()):
            if forking is not None:
                draft.close(self.work, forking, 0)
            return draft.env.event().succeed()
        blocks = [row.cached or Drafted((), "none") for row in self.rows]
        draft.trees += 1
        answer = draft.remote.ask(
            Grow,
            lines_of(self.rows),
            blocks=tuple(block.tokens for block in blocks),
            parents=draft.parents(blocks),
            outcomes=tuple(tuple(names.values()) for names in self.names.values()),
            stopping=self.stopping,
            nodes=draft.length.nodes,
            page=page_of(draft.trees, draft.phases),
            stoppable=draft.stoppable,
        )
        self.number = draft.remote.number
        return draft.env.process(self._grown(answer, forking))

    def _grown(self, answer: Event, forking: Done | None) -> Generator[Event, Any, None]:
        done = yield answer
        if done is None:
            return
        self.draft.close(self.work, done, done.value.tokens, since=forking)
        self.chains = {
            row.seq: chains for row, chains in zip(self.rows, done.value.rows, strict=True)
        }

    def _stop(self, winners: Sequence[Row], finish: bool) -> Event:
        if not self.ready.triggered:
            self.stopped = True
            won = tuple(row.text.outcome if row in winners else None for row in self.rows)
            self.draft.remote.stop(self.number, won, finish and bool(winners))
        return self.ready
