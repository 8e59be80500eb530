"""Time lanes of simulated workers: one piece of work at a time, slowed by contention."""

from collections.abc import Mapping
from typing import Any

from simpy import Environment, Event

from ssdsim.run.tables import Span


class Lane:
    """A worker's time line on a device of its own.

    Work is given in seconds of running alone. It can be cut short while it runs, since a pass
    in flight cannot be stopped but the passes planned after it can.
    """

    def __init__(self, env: Environment, name: str, device: str) -> None:
        self.env = env
        self.name = name
        self.device = device
        self.span: Span | None = None
        self.until = 0.0

    def begin(self, span: Span, work: float, delay: float = 0.0) -> None:
        """Run `work` seconds, `delay` from now."""
        begin, before = span.start + delay, self.span
        # A span ends at a sum of floats, so its successor may start an ulp early.
        if before is not None and before.end > begin:
            free = before.end <= begin * (1 + 1e-12) + 1e-15
            assert free, f"{self.name} would do two things at once"
        self.until = span.start + (delay + work)
        span.start, span.end, self.span = begin, begin + work, span

    def start(self, span: Span, work: float, value: Any = None, delay: float = 0.0) -> Event:
        """Run `work` seconds, `delay` from now; the event carries `value` when they are done."""
        self.begin(span, work, delay)
        return self.env.timeout(delay + work, value)

    def running(self) -> bool:
        """Return whether what was begun may still be cut short: until after its last instant."""
        return self.env.now <= self.until

    def end(self) -> Event | None:
        """Return what tells the end of what was begun; None if that is over.

        It is asked for only where somebody waits, since an event costs more than all else here.
        """
        left = self.until - self.env.now
        return self.env.timeout(left) if left > 0 else None

    def reach(self, work: float, value: Any = None, delay: float = 0.0) -> Event:
        """Return what tells that `work` seconds are done of what began just now."""
        return self.env.timeout(delay + work, value)

    def done(self) -> float:
        """Return how many seconds of the current work are done."""
        assert self.span is not None
        return max(0.0, self.env.now - self.span.start)

    def cut(self, work: float) -> Event | None:
        """Change what was begun to `work` seconds in all, not less than what is done.

        Returns what tells its end, as `end` does.
        """
        assert self.span is not None
        self.until = self.span.end = max(self.span.start + work, self.env.now)
        return self.end()

    def cancel(self) -> None:
        """Give up the current work, if there is any: its span ends now."""
        if self.span is not None and self.span.end > self.env.now:
            self.span.end = max(self.span.start, self.env.now)


class Contention:
    """Processor sharing: while several lanes are busy, each runs slower by its own factor."""

    def __init__(self, env: Environment, slowdown: Mapping[str, float]) -> None:
        self.env = env
        self.slowdown = slowdown
        self.busy: dict[str, SharedLane] = {}

    def lane(self, name: str, device: str) -> "SharedLane":
        """Return a new lane that shares with the others made here."""
        return SharedLane(self.env, name, device, self)

    def update(self) -> None:
        """Book the work done so far, then plan every busy lane's end at its new rate."""
        for lane in self.busy.values():
            lane.advance()
        self.busy = {name: lane for name, lane in self.busy.items() if not lane.finished()}
        for name, lane in self.busy.items():
            party = name.rstrip("0123456789")  # target1 is a target, draft1 a draft
            lane.plan(1.0 / self.slowdown[party] if len(self.busy) > 1 else 1.0)


class SharedLane(Lane):
    """A lane whose speed depends on which of its neighbours are busy."""

    def __init__(self, env: Environment, name: str, device: str, contention: Contention) -> None:
        super().__init__(env, name, device)
        self.contention = contention
        self.event = env.event()
        self.value: Any = None
        self.work = self.progress = self.since = 0.0
        self.rate = 1.0
        self.plans = 0
        self.mark: tuple[float, Event, Any] | None = None

    def begin(self, span: Span, work: float, delay: float = 0.0) -> None:
        """Run `work` seconds' worth, `delay` from now; until then nobody is slowed."""
        super().begin(span, work, delay)
        span.end = float("inf")
        self.progress, self.since = 0.0, span.start
        self._run(work)

    def start(self, span: Span, work: float, value: Any = None, delay: float = 0.0) -> Event:
        """Run as `begin` does; the event carries `value` when it is done."""
        self.value = value
        self.begin(span, work, delay)
        return self.event

    def running(self) -> bool:
        """Return whether what was begun may still be cut short."""
        return not self.event.processed

    def end(self) -> Event | None:
        """Return what tells the end of what was begun; None if that is over."""
        return self.event if self.running() else None

    def reach(self, work: float, value: Any = None, delay: float = 0.0) -> Event:  # noqa: ARG002
        """Return what tells that `work` seconds' worth are done of what began just now."""
        event = self.env.event()
        self.mark = work, event, value
        if self.contention.busy.get(self.name) is self:
            self._plan_mark()
        return event

    def done(self) -> float:
        """Return how much of the current work is done, in seconds of running alone."""
        running = max(0.0, self.env.now - self.since)
        return min(self.work, self.progress + running * self.rate)

    def cut(self, work: float) -> Event | None:
        """Change what was begun to `work` seconds in all."""
        if not self.event.triggered:
            self._run(work)
        return self.end()

    def cancel(self) -> None:
        """Give up the current work, if there is any: its span ends now."""
        super().cancel()
        if self.span is not None and not self.event.triggered:
            self._run(self.done())

    def advance(self) -> None:
        """Book the work done at the old rate."""
        self.progress, self.since = self.done(), self.env.now

    def finished(self) -> bool:
        """Close the span and fire the event if all work is done."""
        if self.work - self.progress > 1e-12 * max(1.0, self.work):
            return False
        if not self.event.triggered:
            assert self.span is not None
            self.span.end = self.env.now
            self.event.succeed(self.value)
        return True

    def plan(self, rate: float) -> None:
        """Wake the contention when the work will be done at `rate`, unless replanned before."""
        self.rate = rate
        self.plans += 1
        plan = self.plans
        wake = self.env.timeout((self.work - self.progress) / rate)
        assert wake.callbacks is not None
        wake.callbacks.append(lambda _: self._wake(plan))
        if self.mark is not None:
            self._plan_mark()

    def _plan_mark(self) -> None:
        """Wake who waits for a share of the work when that will be done, unless replanned."""
        assert self.mark is not None
        (work, event, value), plan = self.mark, self.plans
        wake = self.env.timeout(max(0.0, work - self.progress) / self.rate)
        assert wake.callbacks is not None
        wake.callbacks.append(lambda _: self._passed(event, value, plan))

    def _passed(self, event: Event, value: Any, plan: int) -> None:
        if plan == self.plans and not event.triggered:
            self.mark = None
            event.succeed(value)

    def _wake(self, plan: int) -> None:
        if plan == self.plans:
            self.progress, self.since = self.work, self.env.now
            self.contention.update()

    def _run(self, work: float) -> None:
        self.work, self.event = work, self.env.event()
        delay = self.since - self.env.now
        if delay > 0:
            begin = self.env.timeout(delay)
            assert begin.callbacks is not None
            event = self.event
            begin.callbacks.append(lambda _: self._join(event))
        else:
            self._join(self.event)

    def _join(self, event: Event) -> None:
        if event is self.event:  # else it was given up before it began
            self.contention.busy[self.name] = self
            self.contention.update()
