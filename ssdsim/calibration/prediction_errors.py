"""Scores predictions against measurements: errors, order, regret, coverage of the intervals."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median

import numpy as np


@dataclass(frozen=True)
class Interval:
    """A predicted number, and where 90 % of single measurements should lie."""

    middle: float
    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Return whether a measurement lies in it."""
        return self.low <= value <= self.high


@dataclass(frozen=True)
class Compared:
    """A configuration, predicted and measured.

    Attributes
    ----------
    name, group
        Which; only configurations of one group (the same prompts, temperature and coupling) are
        ranked against each other.
    predicted
        Of every measurement: those of different sittings have predictions of their own.
    measured
        Tokens/s of every repeat, or a speedup.
    baseline
        Whether it is what others are compared with: then it counts in no summary.

    """

    name: str
    group: str
    predicted: tuple[Interval, ...]
    measured: tuple[float, ...]
    baseline: bool = False

    @property
    def middle(self) -> float:
        """The median measurement."""
        return median(self.measured)

    @property
    def expected(self) -> float:
        """The median prediction."""
        return median(one.middle for one in self.predicted)

    @property
    def error(self) -> float:
        """Predicted over measured, less 1: the median over repeats."""
        pairs = zip(self.predicted, self.measured, strict=True)
        return median(one.middle / value for one, value in pairs) - 1

    @property
    def spread(self) -> float:
        """Half the range of the repeats, over their median."""
        return (max(self.measured) - min(self.measured)) / 2 / self.middle

    @property
    def covered(self) -> list[bool]:
        """Whether each measurement lies in its interval."""
        pairs = zip(self.predicted, self.measured, strict=True)
        return [one.holds(value) for one, value in pairs]


@dataclass(frozen=True)
class Verdict:
    """Summary over configurations.

    Attributes
    ----------
    configurations, measurements
        How many count.
    median_error, high_error
        Of the absolute errors of tokens/s the median and the 95th percentile.
    ordered, pairs
        Share of the pairs that were predicted in the measured order, among those that differ by
        more than their spreads; and how many those are.
    regret
        How much slower the configuration is that the predictions would have chosen than the
        fastest one: the worst over groups.
    coverage
        Share of single measurements inside their intervals.

    """

    configurations: int
    measurements: int
    median_error: float
    high_error: float
    ordered: float
    pairs: int
    regret: float
    coverage: float


def verdict(compared: Sequence[Compared]) -> Verdict:
    """Judge predictions; baselines count in pairs and choices, not in errors and coverage."""
    counted = [one for one in compared if not one.baseline]
    errors = [abs(one.error) for one in counted]
    inside = [covered for one in counted for covered in one.covered]
    right = [_same_order(*pair) for pair in _told_apart(compared)]
    return Verdict(
        configurations=len(counted),
        measurements=len(inside),
        median_error=_quantile(errors, 0.5),
        high_error=_quantile(errors, 0.95),
        ordered=float(np.mean(right)) if right else float("nan"),
        pairs=len(right),
        regret=max((_regret(group) for group in _groups(compared)), default=float("nan")),
        coverage=float(np.mean(inside)) if inside else float("nan"),
    )


def _told_apart(compared: Sequence[Compared]) -> list[tuple[Compared, Compared]]:
    """Return the pairs of a group that differ by more than both spreads together."""
    return [
        (one, other)
        for group in _groups(compared)
        for one, other in combinations(group, 2)
        if abs(np.log(one.middle / other.middle)) > one.spread + other.spread
    ]


def _same_order(one: Compared, other: Compared) -> bool:
    return (one.expected > other.expected) == (one.middle > other.middle)


def _groups(compared: Sequence[Compared]) -> list[list[Compared]]:
    names = sorted({one.group for one in compared})
    return [[one for one in compared if one.group == name] for name in names]


def _regret(group: Sequence[Compared]) -> float:
    chosen = max(group, key=lambda one: one.expected)
    return 1 - chosen.middle / max(one.middle for one in group)


def _quantile(values: Sequence[float], share: float) -> float:
    return float(np.quantile(values, share)) if values else float("nan")
