"""Simulates one contender on a calibrated machine with a recorded acceptance trace."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import mean

from ssdreal.bench.contenders import Contender
from ssdreal.executor.simulated_twin import simulated_twin
from ssdsim.acceptance.recorded import Recorded
from ssdsim.engine.setup import Setup
from ssdsim.engine.simulation import simulate
from ssdsim.latency.machine import Machine, Slowdown
from ssdsim.run.trace import Run

SEEDS = 4


@dataclass(frozen=True)
class Prediction:
    """Means over some simulated runs.

    Attributes
    ----------
    tokens_per_s
        Of decoding.
    acceptance_length
        Tokens a round.
    hit_rate
        0 to 1; None for methods without a speculation cache.
    step_seconds
        A round.

    """

    tokens_per_s: float
    acceptance_length: float
    hit_rate: float | None
    step_seconds: float


def predict(
    contender: Contender, known: Machine, trace: str, prompts: int, seeds: int = SEEDS
) -> Prediction:
    """Simulate a contender.

    Parameters
    ----------
    contender
        Method and settings.
    known
        The machine, as calibration found it with one core for each model.
    trace
        Directory of the acceptance trace.
    prompts
        How many of the trace's texts.
    seeds
        Simulated runs.

    """
    setup = simulated(contender, known, trace, prompts)
    return _means([simulate(replace(setup, seed=seed)) for seed in range(seeds)])


def simulated(contender: Contender, known: Machine, trace: str, prompts: int) -> Setup:
    """Return a contender as ssdsim runs it; parameters as in `predict`."""
    found = simulated_twin(contender.setup, Recorded(trace), machine_of(contender, known))
    return replace(found, workload=replace(found.workload, prompts=prompts))


def machine_of(contender: Contender, known: Machine) -> Machine:
    """Return the machine with the target over as many cores as it has here."""
    there = known.spread(contender.places.target.count)
    assert there is not None, "every contender is visited where it runs"
    return there


def contended(known: Machine, share: float) -> Machine:
    """Return a machine with so much of the contention.

    1: all of it; 0: none, as on two devices that share no memory.
    """
    target, draft = (1 + share * (s - 1) for s in (known.slowdown.target, known.slowdown.draft))
    return replace(known, slowdown=Slowdown(target, draft))


def _means(runs: Sequence[Run]) -> Prediction:
    metrics = [run.metrics for run in runs]
    hits = [m["hit_rate"] for m in metrics if m["hit_rate"] is not None]
    return Prediction(
        tokens_per_s=mean(m["tokens_per_s"] for m in metrics),
        acceptance_length=mean(m["acceptance_length"] for m in metrics),
        hit_rate=mean(hits) if hits else None,
        step_seconds=mean(m["step_seconds"] for m in metrics),
    )
