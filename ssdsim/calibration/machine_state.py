"""Draws the state of a machine, how slow everything is: the hour, the run, and work side by side.

A profile's sittings tell how far hours lie apart, and its runs how far runs of one hour do. An
anchor, some runs made just before others, tells the hour, but half a minute of it: it may fall into
a fast spell, as some runs in a row of the profile did. So it counts for as much as hours lie
farther apart than such spells (the posterior mean of a normal hour seen through a normal error).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ssdsim.calibration.fit import LANES, Fit, state_of
from ssdsim.calibration.timings import Timing

State = Mapping[str, float]
"""By model, how much longer than in the fit everything takes."""

Floats = NDArray[np.float64]

APART = 0.1
"""By what share hours differ on a machine of which no two are known. Sittings of an hour apart on
shared machines differed by 6 to 28 %, those of a machine of one's own by less."""
ALIKE = 0.5
"""How far both models are slow together: the correlation where nothing else is known."""
GUESSED = 2
"""For so many hours that guess counts."""


@dataclass(frozen=True)
class Anchor:
    """What a few runs say of the state of a machine.

    Attributes
    ----------
    state
        How much longer than in the fit either model's work took.
    runs
        How many say so.

    """

    state: State
    runs: int


@dataclass(frozen=True)
class Nearby:
    """What anchors say of the machine that a run met.

    Attributes
    ----------
    before, around
        Its state before the run's sitting, and just before and after the run; empty where no anchor
        was taken.
    slowdown
        How much slower either model was around it while the other worked.

    """

    before: State = field(default_factory=dict)
    around: State = field(default_factory=dict)
    slowdown: State = field(default_factory=dict)


def anchor(fit: Fit, pieces: Sequence[Timing]) -> Anchor:
    """Return what runs of sizes that a profile has say of the machine now."""
    return Anchor(state_of(pieces, fit.seconds), len({piece.visit for piece in pieces}))


def draw_state(
    fit: Fit, hour: Generator, run: Generator, known: Anchor | None = None
) -> dict[str, float]:
    """Return a state that a run may meet.

    Parameters
    ----------
    fit
        Of a profile.
    hour, run
        What chance decides for all runs of an hour, and for this one.
    known
        Of the machine just before; None: the run is of any hour.

    """
    sittings = list(fit.effects.values())
    runs = sittings[hour.integers(len(sittings))]
    level = _another_hour(fit, hour) if known is None else _hour_by(known, fit, hour)
    whole = [of for of in runs if all(lane in of for lane in LANES)] or runs
    met = whole[int(run.integers(len(whole)))]
    return {lane: level.get(lane, 1.0) * met.get(lane, 1.0) for lane in LANES}


def draw_slowdown(fit: Fit, centre: Fit, run: Generator) -> dict[str, float]:
    """Return how much both models may slow each other in a run.

    It is not the same in all runs: cores that are a part of a shared machine share more of it at
    one time than at another.

    Parameters
    ----------
    fit
        Of a profile; its runs say how far single ones lie from the middle one.
    centre
        Where the middle one is.
    run
        What chance decides for this one.

    """
    if not fit.sharings:
        return dict(centre.slowdown)
    met = fit.sharings[int(run.integers(len(fit.sharings)))]
    return {
        lane: max(1.0, middle * met.get(lane, fit.slowdown[lane]) / fit.slowdown[lane])
        for lane, middle in centre.slowdown.items()
    }


def _another_hour(fit: Fit, rng: Generator) -> dict[str, float]:
    """Return levels of an hour that is none of the profile's: Student's t, since few are known."""
    lanes = [lane for lane in LANES if all(lane in of for of in fit.levels.values())]
    count = len(fit.levels)
    degrees = GUESSED + count - 1
    wide = (1 + 1 / count) * degrees / rng.chisquare(degrees)
    drawn = _normal(wide * _between_hours(fit, lanes), rng)
    return dict(zip(lanes, np.exp(drawn).tolist(), strict=True))


def _hour_by(known: Anchor, fit: Fit, rng: Generator) -> dict[str, float]:
    """Return levels of an hour of which an anchor was taken."""
    lanes = [lane for lane in LANES if lane in known.state]
    hours, spells = _between_hours(fit, lanes), _between_spells(fit, lanes, known.runs)
    weight = hours @ np.linalg.inv(hours + spells)
    said = np.log([known.state[lane] for lane in lanes])
    drawn = weight @ said + _normal(hours - weight @ hours, rng)
    return dict(zip(lanes, np.exp(drawn).tolist(), strict=True))


def _between_hours(fit: Fit, lanes: Sequence[str]) -> Floats:
    """Return the covariance of hours' log levels; the fit is of the hour in the middle."""
    logs = np.log([[of.get(lane, 1.0) for lane in lanes] for of in fit.levels.values()])
    guess = APART**2 * (ALIKE + (1 - ALIKE) * np.eye(len(lanes)))
    return np.asarray((GUESSED * guess + logs.T @ logs) / (GUESSED + len(logs) - 1))


def _between_spells(fit: Fit, lanes: Sequence[str], length: int) -> Floats:
    """Return the covariance of what so many runs in a row say of their hour, in logs."""
    windows = [
        [
            median([of[lane] for of in runs[at : at + length] if lane in of] or [1.0])
            for lane in lanes
        ]
        for runs in fit.effects.values()
        for at in range(max(len(runs) - length, 0) + 1)
    ]
    logs = np.log(windows)
    return np.asarray(logs.T @ logs / len(logs))


def _normal(covariance: Floats, rng: Generator) -> Floats:
    """Return a draw; a covariance may be singular, and rounding may make it a little less."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors @ (np.sqrt(values.clip(0)) * rng.standard_normal(len(values))))
