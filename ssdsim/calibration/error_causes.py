"""Splits a prediction's error by cause: simulates a measured run with one more guess each time."""

from dataclasses import dataclass, replace
from statistics import fmean

from ssdsim.calibration.fitted_machine import machine
from ssdsim.calibration.machine_state import Nearby
from ssdsim.calibration.prediction import Profile
from ssdsim.calibration.resimulation import with_own_durations, with_own_outcomes
from ssdsim.engine.setup import Setup
from ssdsim.engine.simulation import simulate
from ssdsim.latency.machine import Machine, Slowdown
from ssdsim.run.trace import Run

CAUSES = ("scheduling", "durations", "contention", "drift", "acceptance")
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
        Durations of the profile, on the machine as anchors just before and after the run found it:
        how slow it was, and how much both models slowed each other.
    contention
        Slowed by each other as in the profile.
    drift
        On the machine as it was before the run's sitting; or, without anchors, as in the profile.
    acceptance
        Outcomes of the profile's texts besides: the prediction.

    """

    measured: float
    scheduling: float
    durations: float
    contention: float
    drift: float
    acceptance: float

    def steps(self) -> dict[str, float]:
        """Return what each cause adds to the error, as shares of what was measured."""
        values = [self.measured, *(getattr(self, cause) for cause in CAUSES)]
        return {
            cause: (after - before) / self.measured
            for cause, before, after in zip(CAUSES, values, values[1:], strict=False)
        }


def causes(run: Run, setup: Setup, profile: Profile, nearby: Nearby, predicted: float) -> Causes:
    """Explain a measured run.

    Parameters
    ----------
    run
        As measured.
    setup
        Its method and settings; acceptance and machine are replaced.
    profile
        What predicts it.
    nearby
        What anchors say of the machine before its sitting, and around it.
    predicted
        Its tokens/s.

    """
    fit = profile.calibration.fit
    around, before = machine(fit, nearby.around), machine(fit, nearby.before)
    met = replace(around, slowdown=Slowdown(**{**fit.slowdown, **nearby.slowdown}))

    def speed(of: Machine) -> float:
        own = with_own_outcomes(replace(setup, machine=of), run)
        return _speed([replace(own, seed=seed) for seed in range(SEEDS)])

    own = with_own_outcomes(replace(setup, machine=around), run)
    return Causes(
        measured=run.metrics["tokens_per_s"],
        scheduling=_speed([with_own_durations(own, run, around.dispatch)]),
        durations=speed(met),
        contention=speed(around),
        drift=speed(before),
        acceptance=predicted,
    )


def _speed(setups: list[Setup]) -> float:
    return fmean(simulate(setup).metrics["tokens_per_s"] for setup in setups)
