"""What measured configurations teach the profile that predicted them: its errors, by method."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import exp, expm1, nan
from statistics import fmean, median
from typing import Any

import numpy as np

from ssdreal.tune.entrants import Entrant
from ssdreal.validate.report import Found
from ssdsim.calibration.error_causes import CAUSES
from ssdsim.calibration.prediction import METRICS
from ssdsim.tune.racing import Bounds, Dropped

SMALL = 0.01
"""Of an error by one cause: less teaches nothing."""


@dataclass(frozen=True)
class Outcome:
    """One configuration, predicted and measured.

    Attributes
    ----------
    entrant, found
        What it is, and its runs and their explanation.
    expected
        Metrics as the profile simulates them; tokens/s as they were predicted by the tuning.
    behind
        How much faster the leader is: the logarithm of the ratio, from the blocks of both.
    dropped
        When it was, and for which; None for those left.

    """

    entrant: Entrant
    found: Found
    expected: Mapping[str, float | None]
    behind: Bounds
    dropped: Dropped | None

    def measured(self, metric: str) -> float:
        """Return the median over runs; NaN where there is no such thing."""
        values = [run.metrics[metric] for run in self.found.runs]
        return nan if None in values else median(values)

    @property
    def over_leader(self) -> Bounds:
        """Tokens/s over the leader's."""
        low, middle, high = (exp(-logarithm) for logarithm in self.behind)
        return Bounds(high, middle, low)

    @property
    def remarks(self) -> str:
        """What there is to say of it besides."""
        why = self.found.missing.get("causes")
        return "; ".join(filter(None, [self.found.remarks, why]))

    def error(self, metric: str) -> float:
        """Return predicted over measured, less 1: of a share the difference; NaN if unknown."""
        expected, measured = self.expected.get(metric), self.measured(metric)
        if expected is None:
            return nan
        return expected - measured if metric == "hit_rate" else expected / measured - 1


@dataclass(frozen=True)
class Lesson:
    """Mean errors over the configurations of a method.

    Attributes
    ----------
    method, configurations
        Which method; how many.
    errors
        Of every metric, as shares of what was measured; of the hit rate the difference.
    ratio
        Of tokens/s, apart from the error that all configurations have in common.
    causes
        What each guess adds to the error of tokens/s.

    """

    method: str
    configurations: int
    errors: Mapping[str, float]
    ratio: float
    causes: Mapping[str, float] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """Return all of it as JSON has it."""
        return {
            "method": self.method,
            "configurations": self.configurations,
            "errors": known(self.errors),
            "ratio": known({"": self.ratio})[""],
            "causes": known(self.causes),
        }


def lessons(outcomes: Sequence[Outcome]) -> list[Lesson]:
    """Return the errors of every method, and those of all at the end."""
    common = _mean([one.error("tokens_per_s") for one in outcomes])
    methods = dict.fromkeys(one.entrant.method for one in outcomes)
    parts = {name: [one for one in outcomes if one.entrant.method == name] for name in methods}
    return [_lesson(name, of, common) for name, of in {**parts, "all": outcomes}.items()]


def main_cause(found: Sequence[Lesson]) -> dict[str, float]:
    """Return what adds most to the errors of methods, and how much; {} if nothing adds much."""
    of = [lesson.causes for lesson in found if lesson.causes]
    sizes = {name: _mean([abs(one[name]) for one in of]) for name in CAUSES}
    large = {name: size for name, size in sizes.items() if size > SMALL}
    return dict(sorted(large.items(), key=lambda item: -item[1])[:1])


def slower(logarithms: Bounds) -> Bounds:
    """Return by which share of the faster speed the slower one is below it."""
    return Bounds(*(-expm1(-logarithm) for logarithm in logarithms))


def known(values: Mapping[str, float]) -> dict[str, float | None]:
    """Return numbers as JSON has them, which knows neither NaN nor infinity."""
    return {name: float(value) if np.isfinite(value) else None for name, value in values.items()}


def _lesson(name: str, of: Sequence[Outcome], common: float) -> Lesson:
    errors = {metric: _mean([one.error(metric) for one in of]) for metric in METRICS}
    ratio = (1 + errors["tokens_per_s"]) / (1 + common) - 1
    steps = [one.found.causes.steps() for one in of if one.found.causes]
    causes = {cause: fmean(step[cause] for step in steps) for cause in CAUSES} if steps else {}
    return Lesson(name, len(of), errors, ratio, causes)


def _mean(values: Sequence[float]) -> float:
    there = [value for value in values if np.isfinite(value)]
    return fmean(there) if there else nan
