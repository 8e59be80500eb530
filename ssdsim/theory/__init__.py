"""Closed forms: what speculation and SSD gain when positions are alike and times are constant.

Times are in units of one verify and lengths in tokens a round, bonus included, unless said
otherwise. Every function raises `ConfigError` for an argument outside its range.

What drafting gains at all is in `speculation`, what preparing for outcomes gains in `ssd`, and for
which outcomes in `fanout`; how requests wait for it in `queueing`, and what batches of them do in
`batching`.
"""

from ssdsim.theory.fanout import (
    fanout_objective,
    geometric_fanout,
    outcome_weights,
)
from ssdsim.theory.speculation import (
    acceptance_length,
    best_lookahead,
    jacobi_passes,
    operations_factor,
    seconds_per_token,
    speculative_speedup,
    tree_length,
)
from ssdsim.theory.ssd import (
    critical_batch,
    ssd_speedup,
    ssd_speedup_wait,
)

__all__ = [
    "acceptance_length",
    "best_lookahead",
    "critical_batch",
    "fanout_objective",
    "geometric_fanout",
    "jacobi_passes",
    "operations_factor",
    "outcome_weights",
    "seconds_per_token",
    "speculative_speedup",
    "ssd_speedup",
    "ssd_speedup_wait",
    "tree_length",
]
