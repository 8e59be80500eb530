"""How fast a run is beside others of the same workload: by tokens/s, or by what requests wait.

Where requests arrive in time whoever keeps up with them makes as many tokens a second, and being
faster means that a request is done sooner.
"""

from typing import Literal

from ssdsim.run.metrics import speedup
from ssdsim.run.trace import Run
from ssdsim.workloads.base import Workload

By = Literal["tokens_per_s", "e2e_mean"]
"""The metric that runs are compared by: tokens/s, or mean seconds of a request end to end."""


def compared_by(workload: Workload) -> By:
    """Return what runs of a workload are compared by."""
    return "e2e_mean" if workload.open else "tokens_per_s"


def pace(run: Run, by: By) -> float:
    """Return the tokens/s of a run, or those that a request gets, waits included; 0 without any."""
    metrics = run.metrics
    value: float = metrics[by] or 0.0
    if by == "e2e_mean" and value:
        return float(metrics["output_tokens_per_s"] / metrics["requests_per_s"] / value)
    return value


def faster(run: Run, other: Run, by: By) -> tuple[float, float]:
    """Return how many times faster a run is than another, and the 95 % half-width of that."""
    above, below = (other, run) if by == "e2e_mean" else (run, other)
    widths = [one.metrics["ci95"].get(by, 0.0) for one in (above, below)]
    return speedup(above.metrics[by], widths[0], below.metrics[by], widths[1])
