"""How many candidates a static policy prepares for, for exact expectations."""

from collections.abc import Callable
from functools import cache, lru_cache, partial

from ssdsim.engine.pass_times import PassTimes, branches_beside
from ssdsim.engine.setup import Setup
from ssdsim.errors import ConfigError
from ssdsim.policies.base import StaticPolicy
from ssdsim.sampling.streams import stream

Fanouts = Callable[[int], tuple[int, ...]]
"""F_0..F_n for a speculation of n tokens."""


def none(length: int) -> tuple[int, ...]:
    """Return the fan-outs where nothing is prepared."""
    return (0,) * (length + 1)


def prepared(setup: Setup, passes: PassTimes, lookahead: int) -> Fanouts:
    """Return the fan-outs of a setup's policy: all 0 where it has none.

    Raises
    ------
    ConfigError
        Its budget is what fits beside a verify, and that depends on the context.

    """
    policy = setup.policy
    if "policy" not in setup.method.uses or not isinstance(policy, StaticPolicy):
        return none
    if policy.budget != "verify":
        return within(policy, policy.budget, setup.lookahead)
    if len(passes.contexts) > 1:
        raise ConfigError("policy.budget: the exact expectation does not cover this choice")
    _fits(policy, setup.lookahead)
    beside = cache(partial(branches_beside, passes, lookahead))
    return lambda length: _of_policy(policy, length, beside(length))


def within(policy: StaticPolicy, budget: int, lookahead: int) -> Fanouts:
    """Return the fan-outs of a policy that may spend so much."""
    _fits(policy, lookahead)
    return lambda length: _of_policy(policy, length, budget)


@lru_cache(maxsize=1024)
def _fits(policy: StaticPolicy, lookahead: int) -> None:
    """Refuse what a run would."""
    policy.start(lookahead, stream(0, "policy"))


@lru_cache(maxsize=4096)
def _of_policy(policy: StaticPolicy, length: int, budget: int) -> tuple[int, ...]:
    listed = policy.fanouts(length, budget) if budget else ()
    return (*listed, *[0] * (length + 1 - len(listed)))
