"""The simulated speculation cache: times the drafting of its branches, and cuts it short."""

from collections.abc import Sequence
from functools import cached_property
from math import ceil

from simpy import Event

from ssdsim.decoding.branch import Branch
from ssdsim.decoding.protocol import Row
from ssdsim.engine.draft_passes import DraftPasses, glued
from ssdsim.outcomes import Outcome, Speculation, depths
from ssdsim.trees.base import Steps, made


class SimulatedTree:
    """Branches of at most `length` tokens or levels, one a predicted outcome, drafted together.

    Only the winning branch's contents are ever looked at, so they are drawn when it has won. Where
    chains may end early, the losing branches are taken to end as the run's chains did so far.
    """

    def __init__(
        self,
        draft: DraftPasses,
        rows: Sequence[Row],
        predictions: Sequence[frozenset[Outcome]],
        length: int,
    ) -> None:
        self.draft, self.rows = draft, rows
        self.branches = branches = sum(map(len, predictions))
        if draft.keeps:
            self.taken: dict[tuple[int, Outcome | None], Speculation] = {}
        self.early, self.depth = False, length
        self.steps = self.asked = self.losing = 0
        if not branches:
            return
        context = draft.context(rows) if draft.reads_context else 0
        self.levels, self.live, tokens, glue, steps = draft.branching(
            draft.length.nodes, length, branches, len(rows), glued(rows), context
        )
        self.steps = self.asked = self.losing = len(self.live)
        self.jitter = draft.jitter()
        # The outcomes are chosen once the glue pass has answered: the steps are a second message.
        self.glue = 0.0 if draft.knows else glue * self.jitter + draft.dispatch
        draft.asked_at = draft.recorder.verifies
        if draft.stops:
            self.stopping = draft.length.stopping(length)
            self.early = self.stopping.early
            self.won: dict[int, Speculation] = {}
        if self.early:
            # One of them may be as long as can be. What they came to is known when one has won.
            self.live = self._live(branches, least=1)
            tokens, steps = made(self.live, self.levels.made), self._seconds(rows, self.live)
        number = draft.recorder.verifies - 1
        self.span = draft.span("prespeculate", rows, number, branches, tokens)
        draft.lane.begin(self.span, self._end(steps), draft.dispatch)

    def wait(self, winners: Sequence[Row]) -> Event | None:
        """Finish every branch."""
        if not self.early:
            return self.draft.lane.end() if self.branches else None
        self._let_win(winners)
        return self._go_on(self.rows, self._live(self.branches - len(winners), winners))

    def prune(self, winners: Sequence[Row]) -> Event | None:
        """Drop the losing branches at the next step; finish the winning ones."""
        if not self._running():
            return self.wait(winners)
        self.losing = self._steps_begun()
        if not winners:
            return self._stop_after(self.losing)
        self._let_win(winners)
        return self._go_on(winners, self._live(0, winners))

    def truncate(self, winners: Sequence[Row]) -> Event | None:
        """Stop after the step in flight: the winners hand over what they have."""
        if not self._running():
            return self.wait(winners)
        least = min(1, self.steps) if winners else 0
        return self._stop_after(max(self._steps_begun(), least))

    def take(self, row: Row) -> Speculation:
        """Return the winning branch of `row`."""
        row.work = self.span
        if self.early:
            found = self.won.get(row.seq) or self._drafted(row)
        else:
            found = self.levels.tree.speculate(row.text, self.depth, "primary")
        if self.draft.keeps:
            self.taken[row.seq, row.outcome] = found
        return found

    def branch(self, seq: int, outcome: Outcome) -> Branch:
        """Return what became of an outcome; of losing ones that may end early that is not drawn."""
        won = self.taken.get((seq, outcome))
        if won is not None:
            whole = self.steps == self.asked or max(depths(won.parents)) < self.depth
            return Branch(won.length, whole, continuation=won.tokens or None)
        return Branch() if self.early else self._lost

    @cached_property
    def _lost(self) -> Branch:
        """What became of every branch that did not win."""
        return Branch(sum(self.levels.made[: self.losing]), self.losing == self.asked)

    def _let_win(self, winners: Sequence[Row]) -> None:
        if self.early:
            self.won = {row.seq: self._drafted(row) for row in winners}

    def _drafted(self, row: Row) -> Speculation:
        tree, stopping = self.levels.tree, self.stopping
        return self.draft.drafted(row, tree, self.depth, "primary", stopping)

    def _live(self, losers: int, winners: Sequence[Row] = (), least: int = 0) -> Steps:
        """Return how many branches each step has, at least so many."""
        if not self.early:
            return (losers + len(winners),) * self.steps
        lengths = [self.won[row.seq].length for row in winners]
        shares = map(self.draft.share_beyond, range(self.steps))
        return tuple(
            max(least, sum(length > step for length in lengths) + round(losers * share))
            for step, share in enumerate(shares)
        )

    def _seconds(
        self, rows: Sequence[Row], live: Steps, first: int = 0
    ) -> Sequence[tuple[int, float]]:
        """Return runs of equal steps: how many, and the seconds of each before its jitter."""
        draft = self.draft
        return draft.level_seconds(
            live, self.levels.computed[first:], len(rows), draft.context(rows)
        )

    def _end(self, steps: Sequence[tuple[int, float]]) -> float:
        """Return the seconds of work until the last of these steps has ended."""
        end = self.glue
        for count, step in steps:
            end += count * (step * self.jitter)
        return end

    def _running(self) -> bool:
        return self.branches > 0 and self.draft.lane.running()

    def _steps_begun(self) -> int:
        """Count the steps done or in flight; a step that would begin just now has not begun."""
        if not self._running():
            return self.steps
        begun, done = 0, self.draft.lane.done() - self.glue
        for count, alone in self._seconds(self.rows, self.live):
            step = alone * self.jitter
            # Clock times are sums: a boundary may seem to lie a little before the verify's end.
            steps = max(0, ceil(done / step - 1e-9)) if step else count
            if steps <= count:
                return begun + steps
            begun, done = begun + count, done - count * step
        return begun

    def _stop_after(self, steps: int) -> Event | None:
        self.steps = self.losing = steps
        self.depth = self.levels.depth(steps)
        return self._go_on(self.rows, self.live[:steps])

    def _go_on(self, rows: Sequence[Row], live: Steps) -> Event | None:
        """Replace the steps that have not begun by others, over the branches of `rows`."""
        running = self._running()
        begun = self.live[: self._steps_begun()] if running else ()
        first = len(begun)
        rest = tuple(branches for branches in live[first:] if branches)
        of = self.levels.made
        self.span.tokens = made(begun, of) + made(rest, of[first:])
        planned, self.live = self._end(self._seconds(self.rows, self.live)), (*begun, *rest)
        steps = self._seconds(rows, rest, first)
        more = sum(count * step for count, step in steps) * self.jitter
        end = self._end(self._seconds(self.rows, begun)) + more
        if running:
            return self.draft.lane.cut(end)
        if planned:  # it was over before: most often not as late as it was planned
            self.span.end -= (self.span.end - self.span.start) * (1 - end / planned)
            self.span.end = min(self.span.end, self.draft.lane.env.now)
        return None
