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
PHASES = """async () => {
  const [served, view] = await Promise.all([import("served"), import("view")]);
  const run = store.get().runs[0], end = view.whole([run]).to;
  return Array.from({length: run.requests.rows}, (_, at) =>
    served.phasesOf(run, at, end).map(({phase, from, to}) => [phase, from, to]));
}"""
"""In a browser: what every request goes through, and when."""


@cache
def crowded(*more):
    """Return a run with preemptions and limits."""
    return ssdsim.simulate(ssdsim.setup(*CROWDED, *more))
