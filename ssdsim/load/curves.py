"""Latency and throughput of configurations over the rate of requests."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

from ssdsim.errors import ConfigError
from ssdsim.load.points import Figures, Point, Points, Words
from ssdsim.load.question import RATE, Question

AT_ONCE = 1e6
"""Requests a second at which all are there at once: what is served then is the capacity."""


@dataclass(frozen=True)
class Curve:
    """One configuration.

    Attributes
    ----------
    words
        What it has that others have not.
    capacity
        Requests a second that it serves when all are there at once.
    by_rate
        What it came to, by requests a second in ascending order.
    within
        The largest rate at which enough requests kept to the limits; None: there are no limits, 0:
        at none.

    """

    words: Words
    capacity: float
    by_rate: dict[float, Figures]
    within: float | None = None

    @property
    def name(self) -> str:
        """How it is called beside others."""
        return " ".join(self.words) or "as asked"

    @property
    def method(self) -> str:
        """Its method, where configurations differ in that; else its whole name."""
        methods = [word for word in self.words if word.startswith("method=")]
        return methods[0].removeprefix("method=") if methods else self.name

    def plain(self) -> dict[str, Any]:
        """Return it as plain data."""
        points = [{"rate": rate, **figures} for rate, figures in self.by_rate.items()]
        limited = {"rate_within_limits": self.within} if self.within is not None else {}
        return {"words": self.words, "capacity": self.capacity, **limited, "points": points}


@dataclass(frozen=True)
class Load:
    """All configurations.

    Attributes
    ----------
    curves
        Those that can be.
    refused
        By configuration why it cannot be.
    rates
        Requests a second at which all were simulated.

    """

    curves: list[Curve]
    refused: dict[Words, str]
    rates: list[float]

    def best(self, rate: float, latency: str, method: str | None = None) -> Curve | None:
        """Return the configuration of the least latency at a rate; of a method, if one is said."""
        those = [one for one in self.curves if method in {None, one.method}]
        return min(those, key=lambda one: one.by_rate[rate][latency] or 0.0, default=None)

    @property
    def methods(self) -> list[str]:
        """The methods, in order."""
        return list(dict.fromkeys(one.method for one in self.curves))

    def plain(self) -> dict[str, Any]:
        """Return everything as plain data."""
        refused = [{"words": words, "why": why} for words, why in self.refused.items()]
        return {"curves": [one.plain() for one in self.curves], "refused": refused}


def loaded(asked: Question, points: Points) -> Load:
    """Load every configuration more and more.

    Raises
    ------
    ConfigError
        None of them can be.

    """
    first = _at(asked, points, [(words, AT_ONCE) for words in asked.candidates])
    refused = {words: one.refused for (words, _), one in first.items() if one.refused}
    possible = [words for words in asked.candidates if words not in refused]
    if not possible:
        raise ConfigError(next(iter(refused.values())))
    capacity = {words: first[words, AT_ONCE].figures["requests_per_s"] or 0.0 for words in possible}
    rates = sorted(set(asked.rates)) or [*_steps(max(capacity.values()), asked.options.points)]
    found = _at(asked, points, [(words, rate) for words in possible for rate in rates])
    within = _largest(asked, points, found, possible, rates) if _limited(found) else {}
    curves = [
        Curve(
            *(words, capacity[words]),
            {rate: found[words, rate].figures for rate in rates},
            within.get(words),
        )
        for words in possible
    ]
    return Load(curves, refused, rates)


Found = dict[tuple[Words, float], Point]


def _at(asked: Question, points: Points, wanted: Sequence[tuple[Words, float]]) -> Found:
    lines = [(*asked.shared, *words, f"{RATE}={rate!r}") for words, rate in wanted]
    return dict(zip(wanted, points.of(lines), strict=True))


def _steps(most: float, count: int) -> Iterator[float]:
    """Yield rates in equal steps up to the most that any configuration serves, rounded."""
    for step in range(1, count + 1):
        yield float(f"{most * step / count:.3g}")


def _limited(found: Found) -> bool:
    return any(one.figures["good_fraction"] is not None for one in found.values())


def _largest(
    asked: Question, points: Points, found: Found, possible: list[Words], rates: list[float]
) -> dict[Words, float]:
    """Return the largest rates within limits: halving the gap that the grid leaves, all at once."""

    def good(point: Point) -> bool:
        return (point.figures["good_fraction"] or 0.0) >= asked.options.good

    between: dict[Words, tuple[float, float]] = {}
    for words in possible:
        kept = [rate for rate in rates if good(found[words, rate])]
        low = max(kept, default=0.0)
        between[words] = low, min((rate for rate in rates if rate > low), default=low)
    for _ in range(asked.options.halvings):
        tried = {words: _middle(*ends) for words, ends in between.items() if ends[0] != ends[1]}
        for (words, rate), point in _at(asked, points, [*tried.items()]).items():
            low, high = between[words]
            between[words] = (rate, high) if good(point) else (low, rate)
    return {words: low for words, (low, _) in between.items()}


def _middle(low: float, high: float) -> float:
    return float(f"{sqrt(low * high) if low else high / 2:.4g}")
