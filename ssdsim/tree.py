"""The simulated speculation cache while it is being drafted: a glue pass, then K steps."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from simpy import Event

from ssdsim.outcomes import Speculation
from ssdsim.protocol import Row
from ssdsim.trees.base import grouped

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
        sizes = [nodes for nodes, _ in grouped(draft.tree.passes(length))]
        step = draft.step_seconds
        self.step = {nodes: step(rows, branches, nodes) * self.jitter for nodes in sizes}
        number = draft.recorder.verifies - 1
        tokens = branches * draft.tree.nodes(length)
        self.span = draft.span("prespeculate", rows, number, branches, tokens)
        self.ready = draft.lane.start(self.span, self._until(length), delay=draft.dispatch)

    def wait(self, winners: Sequence[Row]) -> Event:  # noqa: ARG002 - it waits for all alike
        """Finish every branch."""
        return self.ready

    def prune(self, winners: Sequence[Row]) -> Event:
        """Drop the losing branches at the next step; finish the winning ones."""
        if not winners:
            return self._stop_after(self._steps_begun())
        if not self._running():
            return self.ready
        steps, nodes = self._steps_begun(), self.draft.tree.nodes
        left = nodes(self.length) - nodes(steps)
        self.span.tokens = self.branches * nodes(steps) + len(winners) * left
        rest = self.draft.steps_seconds(winners, len(winners), self.length, first=steps)
        return self.draft.lane.cut(self._until(steps) + rest * self.jitter)

    def truncate(self, winners: Sequence[Row]) -> Event:
        """Stop after the step in flight: the winners hand over what they have."""
        return self._stop_after(max(self._steps_begun(), 1 if winners else 0))

    def take(self, row: Row) -> Speculation:
        """Return the winning branch of `row`."""
        row.work = self.span
        return self.draft.tree.speculate(row.text, self.length, "primary")

    def _running(self) -> bool:
        return self.branches > 0 and not self.ready.processed

    def _until(self, steps: int) -> float:
        """Return the seconds of the glue pass and so many steps."""
        passes = grouped(self.draft.tree.passes(steps))
        return self.glue + sum(n * self.step[nodes] for nodes, n in passes)

    def _steps_begun(self) -> int:
        """Count the steps done or in flight; a step that would begin just now has not begun."""
        if not self._running() or not any(self.step.values()):
            return self.length
        # Clock times are sums: a boundary at the verify's end may seem to lie a little before it.
        done = self.draft.lane.done() - 1e-9 * max(self.step.values())
        return sum(self._until(steps) < done for steps in range(self.length))

    def _stop_after(self, steps: int) -> Event:
        if not self._running():
            return self.ready
        self.length = steps
        self.span.tokens = self.branches * self.draft.tree.nodes(steps)
        return self.draft.lane.cut(self._until(steps))
