"""Machines that are known, and calibration runs simulated on them."""

from dataclasses import replace

import numpy as np

from ssdsim.acceptance.iid import Iid
from ssdsim.calibration.calibration_plan import plan, shuffled
from ssdsim.calibration.timings import timings
from ssdsim.engine.setup import Setup
from ssdsim.engine.simulation import simulate
from ssdsim.latency.jitter import Lognormal
from ssdsim.latency.machine import Drawing, Drawings, Machine, Slowdown
from ssdsim.latency.table import Table
from ssdsim.sampling.settings import Sampling
from ssdsim.workloads.closed import Closed

SAMPLINGS = {
    "greedy": Sampling(),
    "maximal": Sampling(1.0),
    "gumbel": Sampling(1.0, "gumbel"),
}
SIZES = list(range(1, 65))
PLAN = plan((1, 2, 4), (1, 4, 8, 12), 3)


def surface(fixed, token, cached, factor=1.0):
    """Return a table's entry: so many seconds a pass, a token, and a token in the cache."""
    batches, contexts = [1, 16], [0, 8192]
    seconds = [
        [[factor * (fixed + token * n + cached * b * c) for c in contexts] for n in SIZES]
        for b in batches
    ]
    return {"batch": batches, "tokens": SIZES, "context": contexts, "seconds": seconds}


def line(fixed, token, factor=1.0):
    ends = [1, 8192]
    return {"tokens": ends, "seconds": [factor * (fixed + token * n) for n in ends]}


def planted(  # a machine much like two cores of the lead's
    verify=(0.013, 0.002),
    step=0.0035,
    glue=(0.0035, 0.0005),
    tree=(0.0035, 0.0003),
    target_cached=1e-6,
    draft_cached=4e-7,
    dispatch=3.5e-4,
    slowdown=(1.12, 1.06),
    drawing=(1e-4, 3e-4, 2e-4, 5e-5),
    target_factor=1.0,
    draft_factor=1.0,
    **more,
):
    """Return a machine; the factors make everything slower for a while."""
    T, D = target_factor, draft_factor
    draft = {
        "step": surface(step, 1e-4, draft_cached, D),
        "fill": {"seconds": 2e-4 * D},
        "prefill": line(0.005, 1e-4, D),
    }
    trees = {"glue": surface(*glue, draft_cached, D), "tree": surface(*tree, draft_cached, D)}
    return Machine(
        target=Table(
            {"verify": surface(*verify, target_cached, T), "prefill": line(0.01, 1e-4, T)}
        ),
        draft=Table(draft | trees),
        colocated=Table(draft),
        dispatch=dispatch,
        sampling=Drawings(Drawing(*drawing), Drawing(*drawing)),
        slowdown=Slowdown(*slowdown),
        **more,
    )


def calibration_pieces(machine_of, repeats=2, seed=0, visits=PLAN, tokens=30):
    """Simulate calibration runs; `machine_of` gives the machine of each visit."""
    rng = np.random.default_rng(seed)
    found = []
    for number, visit in enumerate(shuffled(visits, repeats, rng)):
        # A seed of its own, or all calibrations would see the same scatter.
        run = simulate(setup_of(visit, machine_of(rng), 1000 * seed + number, tokens))
        found += timings(run, number)
    return found


def noisy(rng, spread=0.03, jitter=0.03, **known):
    """Return a machine in one of its moods."""
    moods = dict(
        zip(("target_factor", "draft_factor"), np.exp(spread * rng.normal(size=2)), strict=False)
    )
    return replace(
        planted(**known, **moods), target_jitter=Lognormal(jitter), draft_jitter=Lognormal(jitter)
    )


def setup_of(visit, machine, seed, tokens):
    prompt = 400 if visit.long else 50
    return Setup(
        visit.method,
        Iid(alpha=0.5),
        machine,
        Closed(2 * visit.batch, prompt, tokens),
        policy=visit.policy,
        lookahead=visit.lookahead,
        batch=visit.batch,
        sampling=SAMPLINGS[visit.coupling],
        seed=seed,
    )
