"""Draft devices that the replicas of a run share: who comes first is served first."""

from dataclasses import dataclass, field
from heapq import heappop, heappush
from math import inf, nextafter
from typing import Any

from simpy import Environment, Event

from ssdsim.engine.lanes import Lane
from ssdsim.run.station import POOL, Station
from ssdsim.run.tables import Span
from ssdsim.run.thinned import Thinned


@dataclass
class DraftPool:
    """Draft devices, when each will have done all that it was asked for, and who waits for them.

    Work is never cut short here, so that its place is known when it is asked for: on the device
    that is free first, behind all that was asked before.

    Attributes
    ----------
    free
        By device the time from which on it has nothing to do, seconds.
    station
        How many pieces of work wait and are done, as of the last time that somebody looked.
    waits
        Seconds that each piece waits for a device, in the order in which they were asked for.
    work
        Seconds of all pieces together.
    changes
        A heap of times to come, and how many more wait and are done from then on.

    """

    names: list[str]
    free: dict[str, float] = field(init=False)
    station: Station = field(default_factory=lambda: Station(POOL), init=False)
    waits: Thinned = field(default_factory=Thinned, init=False)
    work: float = field(default=0.0, init=False)
    changes: list[tuple[float, int, int]] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self.free = dict.fromkeys(self.names, 0.0)

    def take(self, now: float, delay: float, work: float) -> tuple[str, float]:
        """Return the device that does `work` seconds, `delay` from now or later, and from when on.

        The longest idle device is no better than another that is free by then.
        """
        self._pass(now)
        asked = now + delay
        name = min(self.free, key=lambda one: max(asked, self.free[one]))
        begin = max(asked, self.free[name])
        self.free[name] = begin + work
        self._expect(asked, begin, work)
        return name, begin

    def metrics(self, now: float) -> dict[str, float | None]:
        """Return what `run.json` says of the pool as a station, as of time `now`."""
        self._pass(nextafter(now, inf))
        waiting, running, _ = self.station.means(now)
        pieces = self.waits.count
        return {
            "draft_pool_arrivals_per_s": pieces / now if now else None,
            "draft_pool_waiting_mean": waiting,
            "draft_pool_running_mean": running,
            "draft_pool_utilization": running / len(self.names),
            **self.waits.summary("draft_pool_wait"),
            "draft_pool_service_mean": self.work / pieces if pieces else None,
        }

    def _expect(self, asked: float, begin: float, work: float) -> None:
        """Take note of a piece of work, which comes, begins and ends at times to come."""
        wait = begin - asked
        self.waits.add([wait], wait)
        self.work += work
        if wait:
            heappush(self.changes, (asked, 1, 0))
        heappush(self.changes, (begin, -1 if wait else 0, 1))
        heappush(self.changes, (begin + work, 0, -1))

    def _pass(self, until: float) -> None:
        """Note all that changes before then, once for each time at which something does."""
        changes, (waiting, running, _) = self.changes, self.station.counts
        while changes and changes[0][0] < until:
            time = changes[0][0]
            while changes and changes[0][0] == time:
                _, waits, runs = heappop(changes)
                waiting, running = waiting + waits, running + runs
            self.station.note(time, (waiting, running, 0))


class PooledLane(Lane):
    """A replica's draft, which works on whichever device of the pool is free first."""

    def __init__(self, env: Environment, name: str, pool: DraftPool) -> None:
        super().__init__(env, name, name)
        self.pool = pool

    def begin(self, span: Span, work: float, delay: float = 0.0) -> None:
        """Run `work` seconds, `delay` from now or when a device is free."""
        span.lane, begin = self.pool.take(span.start, delay, work)
        span.device = span.lane
        self.until = begin + work
        span.start, span.end, self.span = begin, self.until, span

    def start(self, span: Span, work: float, value: Any = None, delay: float = 0.0) -> Event:
        """Run as `begin` does; the event carries `value` when it is done."""
        self.begin(span, work, delay)
        return self.env.timeout(self.until - self.env.now, value)
