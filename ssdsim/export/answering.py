"""Asks the simulator what an engine's settings should say."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import accumulate
from operator import mul

from ssdsim.acceptance.by_position import PositionalSource
from ssdsim.acceptance.observed import ObservedSource
from ssdsim.backups.jit import Jit
from ssdsim.command.setting import Setting
from ssdsim.engine.setup import Setup
from ssdsim.errors import ConfigError, require
from ssdsim.export.engines.base import Answer, Forced
from ssdsim.methods.speculative import Speculative
from ssdsim.observe.told import RoundCounts
from ssdsim.policies.uniform_fanout import UniformFanout
from ssdsim.sampling.streams import stream
from ssdsim.tune.lookahead_table import BATCHES, METHODS, best_lookaheads

NO_DRAFT = "DRAFT"
"""Stands where the draft's name goes, unless it is given: profiles do not have it."""
SAMPLED_ROUNDS = 20_000
"""Of a source that is no table of rates: rounds that are drawn from it for its rates."""


def answered(setting: Setting, draft: str = NO_DRAFT) -> Answer:
    """Return the best lookaheads of ordinary speculation, which is what engines do.

    Raises
    ------
    ConfigError
        Not even plain decoding is covered by the machine's times.

    """
    setup = setting.setup
    batches = sorted({*BATCHES, setup.batch})
    context = _context(setup)
    found = best_lookaheads(_ordinary(setup), batches, (context,))
    listed = [(b, best.lookahead) for b in batches if (best := found.at(METHODS[0], b, context))]
    why = ", ".join(found.left_out) or "none"
    right = f"the machine's times cover no batch ({why})"
    require(bool(listed), "latency", setting.choices.get("latency"), right)
    own = dict(listed).get(setup.batch)
    if own is None:
        raise ConfigError(f"batch={setup.batch}: {right}")
    return Answer(tuple(listed), setup.batch, own, draft)


def forced(setting: Setting, draft: str = NO_DRAFT) -> Forced:
    """Return the rates by position that the simulator has, at its own lookahead."""
    setup = setting.setup
    require(setup.lookahead >= 1, "lookahead", setup.lookahead, "needs a draft to be forced")
    return Forced(_rates(setup), draft)


def _ordinary(setup: Setup) -> Setup:
    """Return the setup with what engines do; a static policy, so that nothing is simulated."""
    method = setup.method if isinstance(setup.method, Speculative) else Speculative()
    return replace(setup, method=method, policy=UniformFanout(), backup=Jit())


def _context(setup: Setup) -> int:
    """Return the mean tokens in the caches: prompts, and half of what is decoded."""
    workload = setup.workload
    return workload.longest_prompt + workload.longest_output // 2


def _rates(setup: Setup) -> tuple[float, ...]:
    """Return P(at least j of K drafts accepted): exact where it is by position alone."""
    source = setup.acceptance.open(setup.sampling, stream(setup.seed, "acceptance"))
    if isinstance(source, ObservedSource):
        return tuple(accumulate((1 - h for h in source.chains(setup.lookahead).reject), mul))
    if isinstance(source, PositionalSource) and source.easy == source.hard:
        return tuple(1 - below for below in source.easy.accepted_below(setup.lookahead))
    counts = RoundCounts()
    for accepted in _accepted(setup):
        counts.add(accepted, setup.lookahead)
    return counts.positions


def _accepted(setup: Setup) -> Iterator[int]:
    """Yield what rounds accept, text after text."""
    source = setup.acceptance.open(setup.sampling, stream(setup.seed, "acceptance"))
    K, most = setup.lookahead, setup.workload.longest_output
    rounds, seq = 0, 0
    while rounds < SAMPLED_ROUNDS:
        text, left = source.text(seq), source.length(seq) or most
        while left > K + 1:  # none that the end cuts short
            speculation = text.speculate(K, "primary")
            assert speculation.truth is not None
            yield speculation.truth.node
            text.commit(speculation, speculation.truth.node + 1)
            left -= speculation.truth.node + 1
            rounds += 1
        seq += 1
        right = f"texts of {most} tokens have no whole round of {K} drafts"
        require(rounds > 0, "workload.output_tokens", most, right)
