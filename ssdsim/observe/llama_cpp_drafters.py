"""llama.cpp's lines of statistics, a drafter each: calls, time, and acceptance by position."""

import re
from dataclasses import dataclass, field

from ssdsim.observe.numbers import NUMBER, number, numbers, whole

STATISTICS = re.compile(r"statistics +([\w-]+) *: #calls(?:\(b,g,a\))? *= *([\d ]+)")
DRAFTS = re.compile(r"#gen drafts *= *(\d+)")
POSITIONS = re.compile(r"#acc rate/pos *= *\(([^)]*)\)")
DURATION = re.compile(rf"dur\(b,g,a\) = *({NUMBER}), *({NUMBER}), *({NUMBER}) ms")


@dataclass
class _Drafter:
    """A drafter's counters since the server's start; a falling one is a restart."""

    calls: float = 0.0
    ms: float = 0.0
    drafts: float = 0.0
    last: tuple[float, float, float] = (0.0, 0.0, 0.0)
    rates: list[tuple[float, tuple[float, ...]]] = field(default_factory=list)

    def take(self, calls: float, ms: float, drafts: float, rates: tuple[float, ...]) -> None:
        """Add what has come since; the rates are of all drafts since the start."""
        now = calls, ms, drafts
        goes_on = all(value >= past for value, past in zip(now, self.last, strict=True))
        before = self.last if goes_on else (0.0, 0.0, 0.0)
        self.calls += calls - before[0]
        self.ms += ms - before[1]
        self.drafts += drafts - before[2]
        self.last = now
        self.rates[len(self.rates) - goes_on :] = [(drafts, rates)]

    @property
    def positions(self) -> tuple[float, ...]:
        """P(at least j drafts accepted), j = 1..K, where a release prints it."""
        total = sum(drafts for drafts, rates in self.rates if rates)
        most = max((len(rates) for _, rates in self.rates), default=0)
        return tuple(
            sum(drafts * rates[at] for drafts, rates in self.rates if at < len(rates)) / total
            for at in range(most if total else 0)
        )


@dataclass
class Drafters:
    """All drafters of a server, which are asked in a row until one of them has a draft."""

    by_name: dict[str, _Drafter] = field(default_factory=dict)

    def take(self, line: str) -> bool:
        """Read a line, if it is one."""
        found = STATISTICS.search(line)
        if not found:
            return False
        calls, times = found[2].split(), DURATION.search(line)
        drafts, rates = DRAFTS.search(line), POSITIONS.search(line)
        self.by_name.setdefault(found[1], _Drafter()).take(
            float(calls[1] if len(calls) > 1 else calls[0]),
            number(times[2]) if times else 0.0,
            float(whole(drafts[1])) if drafts else 0.0,
            numbers(rates[1]) if rates else (),
        )
        return True

    @property
    def drafts(self) -> float:
        """Rounds with a draft, of one drafter or another; those of releases that do not count them.

        A call drafts for all slots that are busy.
        """
        return sum(each.drafts for each in self._all()) or self._calls

    @property
    def seconds(self) -> float | None:
        """Of drafting in a round, of all slots together."""
        ms = sum(each.ms for each in self._all())
        return ms / 1000 / self._calls if self._calls and ms else None

    @property
    def _calls(self) -> float:
        return max((each.calls for each in self._all()), default=0.0)

    @property
    def positions(self) -> tuple[float, ...]:
        """The only drafter's rates by position."""
        (*several, one) = self._all() or [_Drafter()]
        return () if several else one.positions

    def _all(self) -> list[_Drafter]:
        return [*self.by_name.values()]
