"""The exact long-run throughput of a `Setup`, without running it."""

from dataclasses import replace
from functools import lru_cache
from typing import TypeVar

import numpy as np

from ssdsim.acceptance.base import Acceptance, Source
from ssdsim.acceptance.by_position import PositionalSource
from ssdsim.acceptance.observed import ObservedSource
from ssdsim.acceptance.recorded import Recorded, RecordedSource
from ssdsim.backups.jit import Jit
from ssdsim.backups.ngram import Ngram
from ssdsim.backups.random import Random
from ssdsim.backups.shallow import Shallow
from ssdsim.cuts.all import All
from ssdsim.engine.expected_phases import covered, design_of, in_phases
from ssdsim.engine.padding import Shape, padded
from ssdsim.engine.pass_times import (
    Kept,
    PassTimes,
    pearl_times,
    round_times,
    turn_times,
)
from ssdsim.engine.preflight import check_drafter
from ssdsim.engine.recorded_places import Places, backup_ends, places_of
from ssdsim.engine.setup import Setup
from ssdsim.engine.static_fanouts import prepared
from ssdsim.errors import ConfigError, require
from ssdsim.latency.base import reads_context
from ssdsim.latency.jitter import Averaged, NoJitter
from ssdsim.lengths.concurrency import Concurrency
from ssdsim.lengths.fixed import Fixed
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.minedraft import Minedraft
from ssdsim.methods.pearl import Pearl
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.methods.two_phase import TwoPhase
from ssdsim.policies.base import StaticPolicy
from ssdsim.sampling.settings import Sampling
from ssdsim.sampling.streams import stream
from ssdsim.serving.slots import Slots
from ssdsim.theory.expectation import Design, Expectation, Law, expect_ssd
from ssdsim.theory.halves import Half, expect_halves
from ssdsim.theory.known_texts import KnownTexts, expect_texts
from ssdsim.theory.pearl import expect_pearl, expect_pearl_texts
from ssdsim.theory.round_seconds import Whole
from ssdsim.theory.two_phase import expect_two_phase
from ssdsim.trees.chain import Chain

EndsBy = TypeVar("EndsBy")
COVERED = Autoregressive | Speculative | Ssd | Pearl | Minedraft | TwoPhase


def expect(setup: Setup, context: int | None = None) -> Expectation:
    """Return the long-run values of a setup without running it.

    Parameters
    ----------
    setup
        With `iid`, `hazard` or `recorded` acceptance, and a method, policy and backup that are
        covered (docs/theory.md says which).
    context
        Tokens in the caches, for all rounds. By default those of each round, where one row
        decodes recorded texts, and else half of the output, or the mean over the texts.

    Raises
    ------
    ConfigError
        The setup is not covered; the message names the option.

    """
    _check(setup)
    if isinstance(setup.method, Minedraft):
        return _in_turns(setup, context)
    source = _source(setup)
    shape = padded(setup, source)
    if isinstance(source, RecordedSource):
        return _over_texts(setup, places_of(setup, source), shape, context)
    passes, K = PassTimes(setup, (_one_context(setup, context),), shape), _lookahead(setup)
    law = _law(setup, source, K)
    if isinstance(setup.method, Pearl):
        window = _window(setup.method, passes, K)
        return expect_pearl(law, pearl_times(passes, window), window, setup.batch)
    if in_phases(setup):
        return expect_two_phase(design_of(setup, law, passes, K))
    return expect_ssd(_design(setup, law, passes, K))


def _in_turns(setup: Setup, context: int | None) -> Expectation:
    """Return the values of MineDraft, whose rows' rounds are those of speculative decoding."""
    rows = [rows for rows in ((setup.batch + 1) // 2, setup.batch // 2) if rows]
    plain = [replace(setup, method=Speculative("own"), batch=each) for each in rows]
    found = [expect(each, context) for each in plain]
    if len(found) == 1:  # one row alone has nobody to take turns with
        return found[0]
    one, other = (
        Half(each.batch, _lookahead(each), of.acceptance_length)
        for each, of in zip(plain, found, strict=True)
    )
    at = mean_context(plain[0]) if context is None else context
    passes = PassTimes(setup, (_one_context(setup, at),), padded(setup, _source(setup)))
    return expect_halves(one, other, turn_times(passes))


def _one_context(setup: Setup, context: int | None) -> int:
    """Return the context that stands for all rounds: the one asked for, else the half-way one."""
    if context is not None:
        return context
    return setup.workload.longest_prompt + setup.workload.longest_output // 2


def mean_context(setup: Setup) -> int | None:
    """Return the mean tokens in the caches over recorded texts; None of any other source.

    Raises
    ------
    ConfigError
        As `expect`.

    """
    _check(setup)
    source = _source(setup)
    return _mean_context(places_of(setup, source)) if isinstance(source, RecordedSource) else None


def _mean_context(places: Places) -> int:
    return int(places.contexts[places.texts.left > 0].mean())


def _check(setup: Setup) -> None:
    method, machine, uses = setup.method, setup.machine, setup.method.uses
    noise = (machine.target_jitter, machine.draft_jitter)
    fixed = all(isinstance(jitter, NoJitter) for jitter in noise)
    static = isinstance(setup.policy, StaticPolicy)
    known = {
        "method": isinstance(method, COVERED),
        "serving": isinstance(setup.serving, Slots),
        "workload": not setup.workload.open,
        "method.drafts": method.drafts == 1,
        "method.servers": method.servers == 1,
        "drafter": setup.lookup is None or isinstance(method, Speculative),
        "policy": "policy" not in uses or static,
        "backup": "backup" not in uses or isinstance(setup.backup, Jit | Random | Ngram | Shallow),
        "length": isinstance(setup.control, Fixed | Concurrency),
        "verify": isinstance(setup.cut, All),
        "tree": "tree" not in uses or isinstance(setup.tree, Chain),
        "latency.draft.block": "lookahead" not in uses or setup.block == 1,
        "latency jitter": all(isinstance(jitter, Averaged) for jitter in noise),
        "method.on_outcome": fixed or getattr(method, "on_outcome", "wait") != "truncate",
    }
    phases = covered(setup) if in_phases(setup) else {}
    for option, fine in {**known, **phases}.items():
        _require(fine, option)


def _require(fine: bool, option: str) -> None:
    if not fine:
        raise ConfigError(f"{option}: the exact expectation does not cover this choice")


def _source(setup: Setup) -> PositionalSource | RecordedSource:
    check_drafter(setup)
    if isinstance(setup.acceptance, Recorded):  # looks itself whether it knows the file
        return setup.acceptance.open(setup.sampling, stream(0, "acceptance"))
    source = _opened(Kept(setup.acceptance), setup.sampling)
    name = type(setup.acceptance).__name__.lower()
    if not isinstance(source, PositionalSource):
        right = "the exact expectation covers iid, hazard and recorded alone"
        raise ConfigError(f"acceptance={name!r}: {right}")
    _require(source.found == 1, "acceptance.found")
    return source


@lru_cache(maxsize=16)
def _opened(kept: Kept[Acceptance], sampling: Sampling) -> Source:
    """Open a source once for all expectations: its chances depend on no seed."""
    return kept.thing.open(sampling, stream(0, "acceptance"))


def _lookahead(setup: Setup) -> int:
    """Return how many tokens are drafted a row while all slots are busy."""
    if "lookahead" not in setup.method.uses:
        return 0
    return setup.control.start(setup.lookahead).limit(setup.batch, lambda _: 0.0)


def _law(setup: Setup, source: PositionalSource, lookahead: int) -> Law:
    backs_up = "backup" in setup.method.uses
    right = "needs an acceptance source with token ids (recorded)"
    require(setup.lookup is None, "drafter", type(setup.drafter).__name__.lower(), right)
    reads = backs_up and setup.backup.needs_tokens
    require(not reads, "backup", type(setup.backup).__name__.lower(), right)
    easy, hard = source.easy, source.hard
    ahead = isinstance(setup.method, Pearl)  # goes along a run by itself
    chains = None
    if isinstance(source, ObservedSource) and not ahead:
        chains = source.chains(lookahead)
    return Law(
        (chains.reject,) * 2 if chains else (easy.reject, hard.reject),
        (easy.miss, hard.miss),
        source.reference_fanout,
        backup_accepts=not backs_up or isinstance(setup.backup, Jit | Shallow),
        whole=chains.whole if chains else None,
    )


def _design(setup: Setup, law: EndsBy, passes: PassTimes, lookahead: int) -> Design[EndsBy]:
    method = setup.method
    ssd = method if isinstance(method, Ssd) else Ssd()
    return Design(
        law=law,
        times=round_times(passes, lookahead),
        lookahead=lookahead,
        fanouts=prepared(setup, passes, lookahead),
        batch=setup.batch,
        on_outcome=ssd.on_outcome,
        redraft=ssd.redraft,
    )


def _window(method: Pearl, passes: PassTimes, lookahead: int) -> int:
    """Return the tokens that are drafted beside a verify."""
    if method.window == "lookahead" or not lookahead:
        return lookahead
    rows = passes.setup.batch
    step, verify = passes.draft_alone("step", rows, rows), passes.verify_alone(rows, rows)
    with np.errstate(divide="ignore"):
        windows = np.round(np.minimum(lookahead, np.divide(verify, step))).clip(1)
    _require(bool((windows == windows.max()).all()), "method.window")
    return int(windows.max())


def _over_texts(
    setup: Setup, places: Places, shape: Shape | None, context: int | None
) -> Expectation:
    """Return the values over recorded texts, at each place's own context if one row decodes."""
    contexts, moments = _moments(setup, places, context)
    passes, K = PassTimes(setup, contexts, shape), _lookahead(setup)
    if isinstance(setup.method, Pearl):
        window = _window(setup.method, passes, K)
        times = pearl_times(passes, window)
        return expect_pearl_texts(places.texts, moments, times, window, setup.batch)
    backup = backup_ends(setup, places, K)
    if setup.batch > 1:
        together, name = f" at batch={setup.batch}", "drafter" if setup.lookup else "backup"
        _require(bool((backup.length == K).all()), name + together)
        alike = getattr(setup.method, "redraft", "missing") == "missing"
        _require(alike or isinstance(setup.backup, Jit), "method.redraft" + together)
    law = KnownTexts(places.texts, backup, moments)
    return expect_texts(_design(setup, law, passes, K))


def _moments(setup: Setup, places: Places, context: int | None) -> tuple[tuple[int, ...], Whole]:
    """Return the contexts that are told apart, and which of them each place has."""
    latencies = [setup.machine.target, *([setup.draft_latency] if setup.draft_on else [])]
    every = context is None and setup.batch == 1 and any(map(reads_context, latencies))
    if every:
        known, moments = np.unique(places.contexts, return_inverse=True)
        return tuple(known.tolist()), moments.reshape(places.contexts.shape)
    single = _mean_context(places) if context is None else context
    return (single,), np.zeros(places.contexts.shape, np.int64)
