"""Times the work of commands on a device by events of the device's own clock.

A host that waited for a device in order to read a clock would disturb what it measures. So events
are put into the device's queue, and looked at when the run is over.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from time import perf_counter_ns
from typing import Any, Protocol, Self

TRIES = 8
"""Of reading both clocks at once; the quickest counts."""

MILLI = 1e6  # nanoseconds


class Event(Protocol):
    """A mark in the device's queue, as `torch.cuda.Event` is one."""

    def record(self) -> Any:
        """Put it behind all that has been asked of the device so far."""
        ...

    def synchronize(self) -> Any:
        """Wait until the device comes to it."""
        ...

    def elapsed_time(self, other: Self) -> float:
        """Return the milliseconds from this event to a later one."""
        ...


class HostEvent:
    """A mark where the host does the work itself: that is done as soon as it is asked for."""

    def record(self) -> None:
        """Take down the time."""
        self.at = perf_counter_ns()

    def synchronize(self) -> None:
        """Have nothing to wait for."""

    def elapsed_time(self, other: Self) -> float:
        """Return the milliseconds from this event to a later one."""
        return (other.at - self.at) / MILLI


class Stopwatch:
    """Marks where commands begin and end in the device's queue.

    Parameters
    ----------
    event
        Makes an event that keeps the time.
    clock
        The host's, in nanoseconds.

    Attributes
    ----------
    laps
        The ends of the parts that the command under way has, so far.

    """

    def __init__(
        self, event: Callable[[], Any], clock: Callable[[], int] = perf_counter_ns
    ) -> None:
        self.event, self.clock = event, clock
        self.marks: list[tuple[int, Any, Any]] = []
        self.laps: list[Any] = []
        self.began = self._both_clocks()

    @contextmanager
    def timing(self, number: int) -> Iterator[None]:
        """Mark the beginning and the end of what a command asks of the device, or of its parts."""
        start, self.laps = self.event(), []
        start.record()
        yield
        if not self.laps:
            self.lap()
        self.marks += [(number, *part) for part in pairwise((start, *self.laps))]

    def lap(self) -> None:
        """Mark the end of a part of a command."""
        self.laps.append(self.event())
        self.laps[-1].record()

    def ends(self) -> list[int]:
        """Return when this command's parts ended, in the host's nanoseconds, as they just have."""
        now, last = self.clock(), self.laps[-1]
        return [now - round(lap.elapsed_time(last) * MILLI) for lap in self.laps]

    def read(self) -> list[tuple[int, int, int]]:
        """Return number, begin and end of all commands, or their parts, in the host's nanoseconds.

        The device's clock is tied to the host's at the beginning and now: a straight line between.
        Elapsed times are float32, so they are added up from one event to the next.
        """
        end, end_ns = self._both_clocks()
        (last, begin_ns), passed = self.began, 0.0
        found = []
        for number, *events in self.marks:
            offsets = []
            for event in events:
                passed += last.elapsed_time(event)
                last = event
                offsets.append(passed)
            found.append((number, *offsets))
        whole = passed + last.elapsed_time(end)
        rate = (end_ns - begin_ns) / whole if whole else MILLI
        return [
            (number, begin_ns + round(start * rate), begin_ns + round(stop * rate))
            for number, start, stop in found
        ]

    def _both_clocks(self) -> tuple[Any, int]:
        """Return an event that has just come to pass, and the host's time then."""
        quickest = None
        for _ in range(TRIES):
            event, before = self.event(), self.clock()
            event.record()
            event.synchronize()
            after = self.clock()
            if quickest is None or after - before < quickest[0]:
                quickest = after - before, event, after
        assert quickest is not None
        return quickest[1], quickest[2]
