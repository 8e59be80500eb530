"""Looks for a lookahead K with which the same method would do much better, without simulating."""

from dataclasses import dataclass, replace
from functools import cache

from ssdsim.engine.exact_expectation import expect
from ssdsim.engine.setup import Setup
from ssdsim.errors import ConfigError
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.policies.topk_outcomes import TopkOutcomes
from ssdsim.policies.uniform_fanout import UniformFanout

MOST_LOOKAHEAD = 32
SEARCH_TOKENS = 512
WORTHWHILE = 1.03
"""Times the speed at the setup's own K, less than which is not worth a word."""


@dataclass(frozen=True)
class BetterLookahead:
    """A K that is much better than a setup's own.

    Attributes
    ----------
    lookahead
        That K.
    over_ar, own_over_ar
        How many times faster it is than autoregressive decoding on the target's devices, and how
        many the setup's own K is.
    evenly
        Whether both are for a budget that is spread evenly, since what the setup's policy learns
        is not known in advance.

    """

    lookahead: int
    over_ar: float
    own_over_ar: float
    evenly: bool = False


def better_lookahead(setup: Setup) -> BetterLookahead | None:
    """Return the best K, up to 32, where it is much better than the setup's own and that is known.

    None where it is not, where the method has no K, or where the exact expectation does not cover
    the setup; never an error. A dozen expectations are computed, over part of the texts where
    these are recorded; what is returned is over all of them.
    """
    if "lookahead" not in setup.method.uses:
        return None
    asked, K = _covered(setup), _best(_part(_covered(setup)))
    best, own = (_speed(replace(asked, lookahead=each)) for each in (K, setup.lookahead))
    ar = _speed(replace(asked, method=Autoregressive()))
    if not (own and ar) or best < WORTHWHILE * own:
        return None
    return BetterLookahead(K, best / ar, own / ar, evenly=asked is not setup)


def _best(setup: Setup) -> int:
    """Return the best K, by a compass search: tokens/s has one peak in K, or nearly so."""

    @cache
    def speed(lookahead: int) -> float:
        return _speed(replace(setup, lookahead=lookahead))

    best, step = setup.lookahead, 8
    while step and speed(setup.lookahead):
        near = (max(0, best - step), min(MOST_LOOKAHEAD, best + step))
        better = max(near, key=speed)
        best, step = (better, step) if speed(better) > speed(best) else (best, step // 2)
    return best


def _part(setup: Setup) -> Setup:
    """Return the setup with a part of its texts, enough to tell one K from another."""
    workload = setup.workload
    prompts = max(setup.batch, SEARCH_TOKENS // workload.longest_output, 1)
    return replace(setup, workload=replace(workload, prompts=min(prompts, workload.prompts)))


def _covered(setup: Setup) -> Setup:
    """Return the setup with a policy that the exact expectation may cover.

    What a learning policy spends where is known when it has learned it. Its budget spread evenly
    tells as well which K suits acceptance and times.
    """
    policy, uses = setup.policy, setup.method.uses
    if "policy" in uses and isinstance(policy, TopkOutcomes) and isinstance(policy.budget, int):
        return replace(setup, policy=UniformFanout(budget=policy.budget, fanout=policy.budget))
    return setup


def _speed(setup: Setup) -> float:
    """Return the expected tokens/s; 0 where they are not known."""
    try:
        return expect(setup).tokens_per_s
    except ConfigError:
        return 0.0
