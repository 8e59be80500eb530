"""Looks for a lookahead K with which requests would be done much sooner, by simulating it."""

from dataclasses import replace

from ssdsim.engine.baselines import covered, fastest_lookahead, too_long
from ssdsim.engine.best_lookahead import WORTHWHILE, BetterLookahead
from ssdsim.engine.pace import compared_by, faster
from ssdsim.engine.setup import Setup
from ssdsim.run.trace import Run


def better_at_load(setup: Setup, run: Run) -> BetterLookahead | None:
    """Return the best K for a load, where it is much better than that of `run`.

    The best K of part of the requests is simulated with all of them. None where it is not much
    better, where the method has no K, or where `run` has not been compared with AR.
    """
    own = run.metrics["speedup_over_ar"]
    if "lookahead" not in setup.method.uses or not own or too_long(setup):
        return None
    K = fastest_lookahead(setup)
    best = covered(replace(setup, lookahead=K)) if setup.lookahead != K else None
    times = faster(best, run, compared_by(setup.workload))[0] if best else 1.0
    return BetterLookahead(K, own * times, own) if times >= WORTHWHILE else None
