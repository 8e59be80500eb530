"""Fits a machine's unknown seconds to all calibration runs at once, by least squares.

What a piece of work took is the fitted seconds of its size, times how slow its hour was, times how
slow its run was, times what the single piece adds. The fit is of the hour in the middle.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import geometric_mean, median

import numpy as np
from numpy.random import Generator

from ssdsim.calibration.least_squares import predicted, solve
from ssdsim.calibration.observations import (
    Observation,
    Sharing,
    Unknown,
    observations,
    prefills,
    sharings,
)
from ssdsim.calibration.timings import Timing, cells
from ssdsim.errors import require
from ssdsim.sampling.distributions import Array

LANES = ("target", "draft")

Levels = Mapping[int, Mapping[str, float]]
"""By sitting and model, how much longer everything takes."""

LEVELLED = 3
"""How often seconds and hours are fitted in turn; with a single hour there is nothing to find."""

PROBABILITIES = np.linspace(0, 1, 101)


@dataclass(frozen=True)
class Fit:
    """A machine as calibration found it.

    Attributes
    ----------
    seconds
        Of every unknown.
    slowdown
        Of either model while the other is busy.
    levels
        For each sitting and either model how much longer everything took in that hour.
    effects
        For each sitting its visits in the order in which they were made, those on more devices
        left out: how much longer than in the hour everything took of either model.
    jitter
        For either model quantiles of single pieces over their visit's median.
    sharings
        Of every visit in which both worked at once, how much either was slowed.
    padding
        What verifies are padded to.
    shared
        Whether both models are on the same devices.

    """

    seconds: Mapping[Unknown, float]
    slowdown: Mapping[str, float]
    levels: Mapping[int, Mapping[str, float]]
    effects: Mapping[int, Sequence[Mapping[str, float]]]
    jitter: Mapping[str, Array]
    sharings: Sequence[Mapping[str, float]] = ()
    padding: int = 0
    shared: bool = False

    def surface(self, of: str, work: str, devices: int = 1) -> dict[int, dict[int, float]]:
        """Return for each number of rows the measured sizes of a pass and its seconds there."""
        found: dict[int, dict[int, float]] = {}
        for unknown, seconds in sorted(self.seconds.items()):
            if unknown[:3] == (of, work, devices) and unknown.rows:
                found.setdefault(unknown.rows, {})[unknown.size] = seconds
        return found

    def spreads(self, of: str) -> list[int]:
        """Return on which other numbers of devices a model was measured."""
        return sorted({u.devices for u in self.seconds if u.of == of and u.devices > 1})

    def part(self, of: str, what: str, devices: int = 1) -> float:
        """Return an unknown that is no pass; 0 where no run says anything of it."""
        return self.seconds.get(Unknown(of, what, devices), 0.0)


@dataclass(frozen=True)
class Calibration:
    """Everything that calibration runs say, ready to be fitted again and again.

    Attributes
    ----------
    pieces
        All that was measured.
    padding
        What verifies were padded to.
    shared
        Whether both models ran on the same devices.

    """

    pieces: Sequence[Timing]
    padding: int = 0
    shared: bool = False

    def __post_init__(self) -> None:
        verifies = [piece for piece in self.pieces if piece.kind == "verify"]
        require(bool(verifies), "calibration runs", len(self.pieces), "hold no verify")

    @cached_property
    def equations(self) -> list[Observation]:
        """Of everything but prefills."""
        return observations(self.pieces)

    @cached_property
    def sharings(self) -> list[Sharing]:
        """How much slower either model was while the other worked."""
        return sharings(self.pieces)

    @cached_property
    def fit(self) -> Fit:
        """The best fit."""
        slowdown = slowdowns(self.sharings)
        seconds, levels = self._levelled
        seconds = seconds | solve(levelled(prefills(self.pieces, slowdown), levels))
        effects = {
            sitting: list(of.values()) for sitting, of in self._effects(seconds, levels).items()
        }
        by_visit: dict[int, dict[str, float]] = {}
        for one in self.sharings:
            by_visit.setdefault(one.visit, {})[one.lane] = one.slowdown
        return Fit(
            seconds=seconds,
            slowdown=slowdown,
            levels=levels,
            effects=effects,
            jitter=_jitter(self.pieces),
            sharings=list(by_visit.values()),
            padding=self.padding,
            shared=self.shared,
        )

    @cached_property
    def _levelled(self) -> tuple[dict[Unknown, float], Levels]:
        """The seconds of the hour in the middle, and the levels of all hours."""
        seconds, levels = solve(self.equations), dict[int, dict[str, float]]()
        for _ in range(LEVELLED):
            levels = _levels(self.equations, seconds)
            if len(levels) < 2:
                break
            seconds = solve(levelled(self.equations, levels))
        return seconds, levels

    def resampled(self, rng: Generator) -> Fit:
        """Return the fit of another sample of the same size: a draw of what might have been found.

        A residual bootstrap. Visits change places with all their pieces, since the machine is
        faster or slower for a while; what is left over is drawn cell by cell.
        """
        fit, left = self.fit, self._left_over
        visits = {visit: of for one in self._visits.values() for visit, of in one.items()}
        drawn = dict(zip(visits, rng.choice(list(visits), len(visits)), strict=True))
        equations = [
            replace(
                one,
                seconds=predicted(one, fit.seconds)
                * visits.get(drawn.get(one.visit, -1), {}).get(one.lane, 1.0)
                * rng.choice(left[one.lane]),
            )
            for one in self.equations
        ]
        shared = self.sharings
        picked = [shared[at] for at in rng.integers(len(shared), size=len(shared))]
        seconds = {**fit.seconds, **solve(equations)}  # prompts hardly scatter
        return replace(fit, seconds=seconds, slowdown=slowdowns(picked or shared))

    @cached_property
    def _left_over(self) -> dict[str, list[float]]:
        """What effects leave over of every equation: a factor, by lane."""
        seconds, levels = self._levelled
        found: dict[str, list[float]] = {}
        for one in levelled(self.equations, levels):
            effect = self._visits.get(one.sitting, {}).get(one.visit, {}).get(one.lane, 1.0)
            ratio = one.seconds / predicted(one, seconds) / effect
            found.setdefault(one.lane, []).append(ratio)
        return found

    @cached_property
    def _visits(self) -> dict[int, dict[int, dict[str, float]]]:
        return self._effects(*self._levelled)

    def _effects(
        self, seconds: Mapping[Unknown, float], levels: Levels
    ) -> dict[int, dict[int, dict[str, float]]]:
        """Return the factors of each sitting's visits; a model that was idle has none."""
        ratios: dict[tuple[int, int, str], list[float]] = {}
        for one in _on_one_device(levelled(self.equations, levels)):
            ratio = one.seconds / predicted(one, seconds)
            ratios.setdefault((one.sitting, one.visit, one.lane), []).append(ratio)
        found: dict[int, dict[int, dict[str, float]]] = {}
        for (sitting, visit, lane), of in sorted(ratios.items()):
            found.setdefault(sitting, {}).setdefault(visit, {})[lane] = median(of)
        return found


def state_of(pieces: Sequence[Timing], seconds: Mapping[Unknown, float]) -> dict[str, float]:
    """Return how much longer than in a fit either model's work took, by the pieces of some runs.

    The median over runs: one that was held up says little. A model that was idle has none.
    """
    ratios: dict[str, dict[int, list[float]]] = {}
    known = (one for one in observations(pieces) if one.factors.keys() <= seconds.keys())
    for one in _on_one_device(known):
        ratio = one.seconds / predicted(one, seconds)
        ratios.setdefault(one.lane, {}).setdefault(one.visit, []).append(ratio)
    return {lane: median(map(median, of.values())) for lane, of in ratios.items()}


def levelled(equations: Iterable[Observation], levels: Levels) -> list[Observation]:
    """Return what would have been seen in the hour in the middle."""
    return [
        replace(one, seconds=one.seconds / levels.get(one.sitting, {}).get(one.lane, 1.0))
        for one in equations
    ]


def _on_one_device(equations: Iterable[Observation]) -> Iterator[Observation]:
    return (one for one in equations if one.lane in LANES and one.devices == 1)


def _levels(
    equations: Sequence[Observation], seconds: Mapping[Unknown, float]
) -> dict[int, dict[str, float]]:
    """Return how much longer everything took in each sitting, 1 in the (geometric) mean."""
    ratios: dict[str, dict[int, list[float]]] = {}
    for one in _on_one_device(equations):
        ratio = one.seconds / predicted(one, seconds)
        ratios.setdefault(one.lane, {}).setdefault(one.sitting, []).append(ratio)
    levels: dict[int, dict[str, float]] = {}
    for lane, of in ratios.items():
        medians = {sitting: median(found) for sitting, found in of.items()}
        middle = geometric_mean(medians.values())
        for sitting, level in sorted(medians.items()):
            levels.setdefault(sitting, {})[lane] = level / middle
    return levels


def slowdowns(shared: Sequence[Sharing]) -> dict[str, float]:
    """Return the median over visits: at least 1, and 1 where the two never worked at once."""
    found = {lane: [one.slowdown for one in shared if one.lane == lane] for lane in LANES}
    return {lane: max(1.0, median(of)) if of else 1.0 for lane, of in found.items()}


def _jitter(pieces: Sequence[Timing]) -> dict[str, Array]:
    """Return quantiles of seconds over the cell's median, 1 in the middle.

    Pieces on more devices are left out: threads that wait for each other scatter far more.
    """
    ratios: dict[str, list[float]] = {lane: [] for lane in LANES}
    for found in cells(pieces).values():
        alone = [piece.seconds for piece in found if piece.shared <= 1e-9]
        if found[0].kind not in {"prefill", "exit"} and found[0].devices == 1 and len(alone) > 2:
            middle = median(alone)
            ratios[found[0].lane] += [seconds / middle for seconds in alone]
    return {lane: _quantiles(of) for lane, of in ratios.items() if of}


def _quantiles(ratios: Sequence[float]) -> Array:
    found = np.quantile(ratios, PROBABILITIES)
    return np.asarray(found / np.median(found))
