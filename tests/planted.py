"""Machines that are known, and calibration runs simulated on them."""

from ssdsim.acceptance.base import Sampling
from ssdsim.acceptance.iid import Iid
from ssdsim.calibration.timings import timings
from ssdsim.simulation import Setup, simulate
from ssdsim.workload import Workload

SAMPLINGS = {
    "greedy": Sampling(),
    "maximal": Sampling(1.0),
    "gumbel": Sampling(1.0, "gumbel"),
}


def pieces_of(visit, number, machine, seed=0, tokens=40, prompts=2):
    """Simulate a visit; return its pieces."""
    run = simulate(
        Setup(
            visit.method,
            Iid(alpha=0.5),
            machine,
            Workload(
                prompts=prompts * visit.batch,
                prompt_tokens=400 if visit.long else 50,
                output_tokens=tokens,
            ),
            policy=visit.policy,
            lookahead=visit.lookahead,
            batch=visit.batch,
            sampling=SAMPLINGS[visit.coupling],
            seed=seed,
        )
    )
    return timings(run, number, lookahead=visit.lookahead, coupling=visit.coupling, own=visit.own)
