"""Draws the state of a machine, how slow everything is: the hour, and the run in it.

A profile's sittings tell how far hours lie apart, and its runs how far runs of one hour do. An
anchor, some runs made just before others, tells the hour; what it leaves open is how far a run
lies from the anchor before it, which the profile's own runs show as well.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator

from ssdsim.calibration.fit import LANES, Fit, state_of
from ssdsim.calibration.predictive_distribution import another
from ssdsim.calibration.timings import Timing

State = Mapping[str, float]
"""By model, how much longer than in the fit everything takes."""


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
    sitting = sittings[hour.integers(len(sittings))]
    if known is None:
        level, runs = _another_hour(fit, hour), sitting
    else:
        missed, runs = _missed_by_an_anchor(sitting, hour, known.runs)
        level = {lane: known.state.get(lane, 1.0) / missed[lane] for lane in LANES}
    whole = [of for of in runs if all(lane in of for lane in LANES)] or runs
    met = whole[int(run.integers(len(whole)))]
    return {lane: level.get(lane, 1.0) * met.get(lane, 1.0) for lane in LANES}


def _another_hour(fit: Fit, rng: Generator) -> dict[str, float]:
    """Return levels of an hour that is none of the profile's."""
    lanes = [lane for lane in LANES if all(lane in of for of in fit.levels.values())]
    known = np.log([[of[lane] for lane in lanes] for of in fit.levels.values()])
    return dict(zip(lanes, np.exp(another(known, rng)).tolist(), strict=True))


def _missed_by_an_anchor(
    runs: Sequence[State], rng: Generator, length: int
) -> tuple[dict[str, float], Sequence[State]]:
    """Return what some runs of a sitting in a row say of it, and those made after them."""
    begin = int(rng.integers(max(len(runs) - length, 1)))
    before, later = runs[begin : begin + length], runs[begin + length :]
    said = {lane: [of[lane] for of in before if lane in of] or [1.0] for lane in LANES}
    return {lane: float(np.median(of)) for lane, of in said.items()}, later or runs
