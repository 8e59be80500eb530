"""The simulated speculation cache while it is being drafted: a glue pass, then K steps."""

from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING

from simpy import Event

from ssdsim.outcomes import Speculation
from ssdsim.protocol import Row

if TYPE_CHECKING:
    from ssdsim.workers import SimulatedDraft


class SimulatedTree:
    """Branches of `length` tokens, one a predicted outcome, drafted together step by step.

    Only the winning branch's contents are ever looked at, so they are drawn when it is taken.
    """

    def __init__(
        self, draft: "SimulatedDraft", rows: Sequence[Row], branches: int, length: int
    ) -> None:
        self.draft = draft
        self.branches = branches
        self.length = length
        self.ready: Event
        if not branches:
            self.ready = draft.lane.env.timeout(0.0)
            return
        self.jitter = draft.jitter()
        # The outcomes are chosen once the glue pass has answered: the steps are a second message.
        self.glue = draft.glue_seconds(rows) * self.jitter + draft.dispatch
        self.step = draft.tree_seconds(rows, branches) * self.jitter
        number = draft.recorder.verifies - 1
        self.span = draft.span("prespeculate", rows, number, branches, branches * length)
        work = self.glue + length * self.step
        self.ready = draft.lane.start(self.span, work, delay=draft.dispatch)

    def wait(self, winners: Sequence[Row]) -> Event:  # noqa: ARG002 - it waits for all alike
        """Finish every branch."""
        return self.ready

    def prune(self, winners: Sequence[Row]) -> Event:
        """Drop the losing branches at the next step; finish the winning ones."""
        if not winners:
            return self._stop_after(self._steps_begun())
        if not self._running():
            return self.ready
        steps = self._steps_begun()
        left = self.length - steps
        self.span.tokens = self.branches * steps + len(winners) * left
        rest = left * self.draft.tree_seconds(winners, len(winners)) * self.jitter
        return self.draft.lane.cut(self.glue + steps * self.step + rest)

    def truncate(self, winners: Sequence[Row]) -> Event:
        """Stop after the step in flight: the winners hand over what they have."""
        return self._stop_after(max(self._steps_begun(), 1 if winners else 0))

    def take(self, row: Row) -> Speculation:
        """Return the winning branch of `row`."""
        row.work = self.span
        branch: Speculation = row.text.speculate(self.length, "primary")
        return branch

    def _running(self) -> bool:
        return self.branches > 0 and not self.ready.processed

    def _steps_begun(self) -> int:
        """Count the steps done or in flight; a step that would begin just now has not begun."""
        if not self._running() or not self.step:
            return self.length
        done = self.draft.lane.done() - self.glue
        # Clock times are sums: a boundary at the verify's end may seem to lie a little before it.
        return min(self.length, max(0, ceil(done / self.step - 1e-9)))

    def _stop_after(self, steps: int) -> Event:
        if not self._running():
            return self.ready
        self.length = steps
        self.span.tokens = self.branches * steps
        return self.draft.lane.cut(self.glue + steps * self.step)
