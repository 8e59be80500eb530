"""Scores predictions against measurements: errors, order, regret, coverage of the intervals."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median

import numpy as np


@dataclass(frozen=True)
class Compared:
    """A configuration, predicted and measured.

    Attributes
    ----------
    name, group
        Which; only configurations of one group (the same prompts, temperature and coupling) are
        ranked against each other.
    predicted, low, high
        Tokens/s and the 90 % interval of a single measurement.
    measured
        Tokens/s of every repeat.
    baseline
        Whether it is what others are compared with: then it counts in no summary.

    """

    name: str
    group: str
    predicted: float
    low: float
    high: float
    measured: tuple[float, ...]
    baseline: bool = False

    @property
    def middle(self) -> float:
        """The median measurement."""
        return median(self.measured)

    @property
    def error(self) -> float:
        """Predicted over measured, less 1."""
        return self.predicted / self.middle - 1

    @property
    def spread(self) -> float:
        """Half the range of the repeats, over their median."""
        return (max(self.measured) - min(self.measured)) / 2 / self.middle

    @property
    def covered(self) -> list[bool]:
        """Whether each measurement lies in the interval."""
        return [self.low <= one <= self.high for one in self.measured]


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


def over(one: Compared, baseline: Compared) -> Compared:
    """Return a configuration's speedup over a baseline, repeat by repeat, as far as both have."""
    return Compared(
        name=one.name,
        group=one.group,
        predicted=one.predicted / baseline.predicted,
        low=one.low / baseline.predicted,
        high=one.high / baseline.predicted,
        measured=tuple(a / b for a, b in zip(one.measured, baseline.measured, strict=False)),
        baseline=one.baseline,
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
    return (one.predicted > other.predicted) == (one.middle > other.middle)


def _groups(compared: Sequence[Compared]) -> list[list[Compared]]:
    names = sorted({one.group for one in compared})
    return [[one for one in compared if one.group == name] for name in names]


def _regret(group: Sequence[Compared]) -> float:
    chosen = max(group, key=lambda one: one.predicted)
    return 1 - chosen.middle / max(one.middle for one in group)


def _quantile(values: Sequence[float], share: float) -> float:
    return float(np.quantile(values, share)) if values else float("nan")
