"""SimPy's environment on the wall clock: its events are the answers of worker processes."""

from collections.abc import Callable
from time import perf_counter_ns, sleep

import simpy
from simpy.core import EmptySchedule

Wait = Callable[[float | None], bool]
"""Wait for workers, at most so many seconds (None: without end); False: none owes an answer."""


class WallClock(simpy.Environment):
    """An environment in real time: it blocks until a worker process answers.

    Only `step` differs from a simulation: as long as nothing is due it waits for the workers, and
    whatever they answer becomes due. Inside one event `now` stands still, as in a simulation.

    Attributes
    ----------
    wait
        How to wait for the workers; until they are hired there are none.
    origin
        Time zero, nanoseconds of `time.perf_counter_ns`, which is one clock for all processes.

    """

    def __init__(self, wait: Wait = lambda _: False) -> None:
        super().__init__()
        self.wait = wait
        self.origin = perf_counter_ns()

    def seconds(self, nanoseconds: int) -> float:
        """Return a reading of the processes' common clock in seconds from this run's start."""
        return (nanoseconds - self.origin) * 1e-9

    def tick(self) -> None:
        """Let `now` catch up with the wall clock."""
        self._now = max(self._now, self.seconds(perf_counter_ns()))

    def rewind(self, nanoseconds: int) -> None:
        """Go back to a moment that is past: what came with other things has its own time.

        Nothing else may be due.
        """
        self._now = min(self._now, self.seconds(nanoseconds))

    def restart(self) -> None:
        """Make this moment time zero. Nothing may be scheduled."""
        self.origin, self._now = perf_counter_ns(), 0.0

    def step(self) -> None:
        """Wait until an event is due, then process it.

        Raises
        ------
        simpy.core.EmptySchedule
            Nothing is scheduled and no worker owes an answer.

        """
        while (left := self.peek() - self.seconds(perf_counter_ns())) > 0:
            owed = self.wait(None if left == float("inf") else left)
            if not owed and self.peek() == float("inf"):
                raise EmptySchedule
            if not owed:
                sleep(left)  # nothing but the clock is waited for
        now, due = self._now, self.peek()
        super().step()
        if self._now == due:  # an event that was due earlier does not turn time back
            self._now = max(due, now)
