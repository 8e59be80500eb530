"""Runs of requests for the tests of their pages."""

from functools import cache

import ssdsim

WORDS = (
    "profile=demo",
    "workload=poisson",
    "workload.prompts=30",
    "workload.output_tokens=40",
    "serving=continuous",
)
CROWDED = (
    *WORDS,
    "workload.rate=60",
    "serving.num_gpu_blocks=46",
    "serving.ttft_limit=0.1",
    "serving.tpot_limit=0.008",
    "replicas=2",
    "router=round_robin",
)
"""More requests than memory: some are preempted, some late."""


@cache
def crowded(*more):
    """Return a run with preemptions and limits."""
    return ssdsim.simulate(ssdsim.setup(*CROWDED, *more))
