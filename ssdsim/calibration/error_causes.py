"""Splits a prediction's error by cause: simulates a measured run with one more guess each time."""

from dataclasses import dataclass, replace
from statistics import fmean

from ssdsim.calibration.prediction import Profile
from ssdsim.calibration.resimulation import with_own_durations, with_own_outcomes
from ssdsim.engine.setup import Setup
from ssdsim.engine.simulation import simulate
from ssdsim.latency.machine import Slowdown
from ssdsim.run.trace import Run

CAUSES = ("scheduling", "durations", "acceptance", "contention")
SEEDS = 8


@dataclass(frozen=True)
class Causes:
    """Tokens/s as measured, and simulated with one guess after the other.

    Attributes
    ----------
    measured
        Of the run.
    scheduling
        Its own durations and its own outcomes: what is left is how ssdsim puts pieces together.
    durations
        Durations of the profile, each model as if alone.
    acceptance
        Outcomes of the profile's texts besides.
    contention
        And both models slowing each other: the prediction.

    """

    measured: float
    scheduling: float
    durations: float
    acceptance: float
    contention: float

    def steps(self) -> dict[str, float]:
        """Return what each cause adds to the error, as shares of what was measured."""
        values = [self.measured, *(getattr(self, cause) for cause in CAUSES)]
        return {
            cause: (after - before) / self.measured
            for cause, before, after in zip(CAUSES, values, values[1:], strict=False)
        }


def causes(run: Run, setup: Setup, profile: Profile) -> Causes:
    """Explain a measured run.

    Parameters
    ----------
    run
        As measured.
    setup
        Its method and settings; acceptance and machine are replaced.
    profile
        What predicts it.

    """
    whole = profile.machine
    quiet = replace(whole, slowdown=Slowdown())
    own = with_own_outcomes(replace(setup, machine=quiet), run)
    guessed = replace(setup, acceptance=profile.acceptance, machine=quiet)
    return Causes(
        measured=run.metrics["tokens_per_s"],
        scheduling=_speed(with_own_durations(own, run, whole.dispatch), 1),
        durations=_speed(own),
        acceptance=_speed(guessed),
        contention=_speed(replace(guessed, machine=whole)),
    )


def _speed(setup: Setup, seeds: int = SEEDS) -> float:
    runs = [simulate(replace(setup, seed=seed)) for seed in range(seeds)]
    return fmean(run.metrics["tokens_per_s"] for run in runs)
