"""The exact long-run throughput of a `Setup` with fixed times and a static policy."""

from functools import lru_cache

from ssdsim.acceptance.base import Acceptance
from ssdsim.acceptance.by_position import PositionalSource
from ssdsim.backups.jit import Jit
from ssdsim.backups.random import Random
from ssdsim.engine.draft import exchange_seconds
from ssdsim.engine.setup import Setup
from ssdsim.errors import ConfigError
from ssdsim.latency.jitter import NoJitter
from ssdsim.latency.machine import Slowdown
from ssdsim.lengths.fixed import Fixed
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.policies.base import StaticPolicy
from ssdsim.sampling.settings import Sampling
from ssdsim.sampling.streams import stream
from ssdsim.theory.expectation import (
    Design,
    Expectation,
    Law,
    Times,
    expect_autoregressive,
    expect_ssd,
)
from ssdsim.trees.chain import Chain


def expect(setup: Setup, context: int | None = None) -> Expectation:
    """Return the long-run values of a setup without running it.

    Parameters
    ----------
    setup
        With `iid` or `hazard` acceptance, a static policy, and jit or random backup.
    context
        Tokens in the caches; half of the output by default. Times are taken as fixed there.

    Raises
    ------
    ConfigError
        The setup is not covered, or its times are random.

    """
    _check(setup)
    workload = setup.workload
    context = workload.prompt_tokens + workload.output_tokens // 2 if context is None else context
    times = _times(setup, context)
    match setup.method:
        case Autoregressive():
            return expect_autoregressive(times.verify, setup.batch)
        case Speculative():
            return expect_ssd(_design(setup, times, predicts=False))
        case _:
            return expect_ssd(_design(setup, times, predicts=True))


def _check(setup: Setup) -> None:
    machine = setup.machine
    noise = (machine.target_jitter, machine.draft_jitter)
    covered = {
        "method": isinstance(setup.method, Autoregressive | Speculative | Ssd),
        "method.drafts": setup.method.drafts == 1,
        "drafter": setup.lookup is None,
        "policy": isinstance(setup.policy, StaticPolicy) and setup.policy.budget != "verify",
        "backup": isinstance(setup.backup, Jit | Random),
        "length": isinstance(setup.length, Fixed),
        "tree": isinstance(setup.tree, Chain),
        "latency.padding": not machine.padding,
        "latency.slowdown": machine.slowdown == Slowdown(),
        "latency jitter": all(isinstance(jitter, NoJitter) for jitter in noise),
    }
    for option, fine in covered.items():
        if not fine:
            raise ConfigError(f"{option}: the exact expectation does not cover this choice")


def _design(setup: Setup, times: Times, *, predicts: bool) -> Design:
    policy, K = setup.policy, setup.lookahead
    assert isinstance(policy, StaticPolicy)
    budget = int(policy.budget)

    @lru_cache
    def fanouts(length: int) -> tuple[int, ...]:
        listed = policy.fanouts(length, budget) if predicts else ()
        return (*listed, *[0] * (length + 1 - len(listed)))

    ssd = setup.method if isinstance(setup.method, Ssd) else Ssd()
    return Design(
        law=_law(setup),
        times=times,
        lookahead=K,
        fanouts=fanouts,
        batch=setup.batch,
        on_outcome=ssd.on_outcome,
        redraft=ssd.redraft,
        backup_accepts=not predicts or isinstance(setup.backup, Jit),
    )


def _law(setup: Setup) -> Law:
    return _law_of(_Kept(setup.acceptance), setup.sampling)


class _Kept:
    """An acceptance source's configuration, told from others by its identity."""

    def __init__(self, acceptance: Acceptance) -> None:
        self.acceptance = acceptance

    def __hash__(self) -> int:
        return id(self.acceptance)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Kept) and other.acceptance is self.acceptance


@lru_cache(maxsize=16)
def _law_of(kept: _Kept, sampling: Sampling) -> Law:
    """Open a source once for all expectations: its chances depend on no seed."""
    source = kept.acceptance.open(sampling, stream(0, "acceptance"))
    if not isinstance(source, PositionalSource):
        raise ConfigError("acceptance: the exact expectation covers iid and hazard only")
    easy, hard = source.easy, source.hard
    return Law((easy.reject, hard.reject), (easy.miss, hard.miss), source.reference_fanout)


def _times(setup: Setup, context: int) -> Times:
    machine, draft = setup.machine, setup.draft_latency
    drawing, dispatch = machine.sampling.under(setup.sampling), machine.dispatch
    exchange = exchange_seconds(machine, setup.sampling, setup.method.draft_on)

    def backup(rows: int, length: int) -> float:
        if isinstance(setup.backup, Random) and isinstance(setup.method, Ssd):
            return setup.backup.seconds
        if not length:
            return 0.0
        step = draft.seconds("step", rows, rows, context) + drawn(rows)
        return dispatch + length * step + draft.seconds("fill", rows, rows, context)

    def drawn(distributions: int) -> float:
        return drawing.draft + distributions * drawing.draft_token

    def verify(rows: int, n: int) -> float:
        drawn = drawing.target + n * drawing.target_token
        return dispatch + machine.target.seconds("verify", rows, n, context) + drawn

    return Times(
        handshake=exchange(setup.batch * setup.lookahead) if exchange else 0.0,
        verify=verify,
        # Two messages: for the candidates, and for the steps.
        glue=lambda rows, n: 2 * dispatch + draft.seconds("glue", rows, n, context) + drawn(n),
        tree=lambda rows, n: draft.seconds("tree", rows, n, context) + drawn(n),
        backup=backup,
    )
