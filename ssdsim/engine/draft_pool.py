"""Draft devices that the replicas of a run share: who comes first is served first."""

from dataclasses import dataclass, field
from typing import Any

from simpy import Environment, Event

from ssdsim.engine.lanes import Lane
from ssdsim.run.tables import Span


@dataclass
class DraftPool:
    """Draft devices, and when each will have done all that it was asked for.

    Work is never cut short here, so that its place is known when it is asked for: on the device
    that is free first, behind all that was asked before.

    Attributes
    ----------
    free
        By device the time from which on it has nothing to do, seconds.

    """

    names: list[str]
    free: dict[str, float] = field(init=False)

    def __post_init__(self) -> None:
        self.free = dict.fromkeys(self.names, 0.0)

    def take(self, begin: float, work: float) -> tuple[str, float]:
        """Return the device that does `work` seconds from `begin` on or later, and when it begins.

        The longest idle device is no better than another that is free by then.
        """
        name = min(self.free, key=lambda one: max(begin, self.free[one]))
        begin = max(begin, self.free[name])
        self.free[name] = begin + work
        return name, begin


class PooledLane(Lane):
    """A replica's draft, which works on whichever device of the pool is free first."""

    def __init__(self, env: Environment, name: str, pool: DraftPool) -> None:
        super().__init__(env, name, name)
        self.pool = pool

    def begin(self, span: Span, work: float, delay: float = 0.0) -> None:
        """Run `work` seconds, `delay` from now or when a device is free."""
        span.lane, begin = self.pool.take(span.start + delay, work)
        span.device = span.lane
        self.until = begin + work
        span.start, span.end, self.span = begin, self.until, span

    def start(self, span: Span, work: float, value: Any = None, delay: float = 0.0) -> Event:
        """Run as `begin` does; the event carries `value` when it is done."""
        self.begin(span, work, delay)
        return self.env.timeout(self.until - self.env.now, value)
