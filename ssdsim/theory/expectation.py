"""The exact long-run throughput of `ssd` with deterministic times, as a Markov reward process.

It covers what the closed forms of `theory` leave out: acceptance that differs between easy and
hard places, times that depend on batch, length and branches, draft steps in flight when the
verify ends, and backups whose speculations are worse. Times are in seconds.
"""

import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import NamedTuple

import numpy as np

from ssdsim.theory.census import Census, Expectation, expected
from ssdsim.theory.lockstep import Law, RowState, mean_tokens, outcome_table
from ssdsim.theory.markov import Array, count, stationary
from ssdsim.theory.round_seconds import Design, Times, draft_work

__all__ = [
    "Design",
    "Expectation",
    "Law",
    "Times",
    "expect_autoregressive",
    "expect_speculative",
    "expect_ssd",
]


def expect_ssd(design: Design[Law]) -> Expectation:
    """Return the long-run values of `ssd`: stationary mean tokens over stationary mean seconds.

    That ratio is the renewal-reward theorem. Exact up to rounding, with one convention: a piece
    of draft work that ends together with the verify counts as done.

    Raises
    ------
    ConfigError
        `law.tail` rises.

    """
    coupled = design.batch > 1 and design.redraft == "all" and not design.law.backup_accepts
    return expected(design, _coupled(design) if coupled else _independent(design))


def expect_speculative(law: Law, times: Times, lookahead: int, batch: int = 1) -> Expectation:
    """Return the long-run values of `speculative`; `times.backup` is what its drafting takes."""
    return expect_ssd(Design(law, times, lookahead, lambda length: (0,) * (length + 1), batch))


def expect_autoregressive(verify: Callable[[int, int], float], batch: int = 1) -> Expectation:
    """Return the values of `autoregressive`: each pass of `verify` delivers one token a row."""
    seconds = verify(batch, batch)
    return Expectation(batch / seconds, 1.0, 0.0, seconds, math.nan, 1.0)


class _Batch(NamedTuple):
    """The state of a batch: rows at hard places, and whether any row had missed."""

    hard: int
    missed: bool


def _independent(design: Design[Law]) -> Census:
    """Count rounds where a row's future does not depend on its batch-mates.

    Rows share only the clock, so each is a Markov chain of its own and the hits of a batch are
    binomial (unless the chain is periodic, which takes probabilities of 0 and 1). Lengths differ
    with `truncate` alone, which has one row.
    """

    @cache
    def kept(length: int) -> int:
        return int(draft_work(design, length).kept[0])

    def step(row: RowState) -> Mapping[RowState, float]:
        ends = outcome_table(design, row)
        lengths = design.lookahead, kept(row.length)
        return {
            RowState(d, lengths[hit], bool(hit)): ends[d, hit] for d in (0, 1) for hit in (0, 1)
        }

    delivered = [0.0, 0.0]
    found: dict[int, Array] = {}
    for row, share in stationary(RowState(0, design.lookahead, hit=False), step).items():
        delivered[row.hit] += share * mean_tokens(design.law, row)
        ends = outcome_table(design, row).sum(axis=0)
        found[row.length] = found.get(row.length, np.zeros(2)) + share * ends
    hits = {n: p.sum() * count([(design.batch, p / p.sum())]) for n, p in found.items()}
    return Census(hits, (delivered[0], delivered[1]))


def _coupled(design: Design[Law]) -> Census:
    """Count rounds where one row's miss gives every row a speculation that is never accepted.

    A batch in which no row missed verifies cached speculations only, a batch in which one did
    verifies redrafted ones only: so the two numbers of `_Batch` are all of its state.
    """
    b, K = design.batch, design.lookahead
    rows = {missed: [RowState(d, K, not missed) for d in (0, 1)] for missed in (False, True)}
    tables = {m: [outcome_table(design, row) for row in pair] for m, pair in rows.items()}

    def over_rows(state: _Batch, pair: Callable[[Array], Array]) -> Array:
        easy, hard = map(pair, tables[state.missed])
        return count([(b - state.hard, easy), (state.hard, hard)])

    def step(state: _Batch) -> Mapping[_Batch, float]:
        either = over_rows(state, lambda table: table.sum(axis=1))
        all_hit = over_rows(state, lambda table: table[:, 1])
        cached = {_Batch(hard, missed=False): p for hard, p in enumerate(all_hit)}
        return cached | {_Batch(hard, missed=True): p for hard, p in enumerate(either - all_hit)}

    shares = stationary(_Batch(0, missed=True), step).items()
    hits = np.sum([p * over_rows(s, lambda table: table.sum(axis=0)) for s, p in shares], axis=0)
    easy, hard = (mean_tokens(design.law, row) for row in rows[False])
    cached = sum(p * ((b - s.hard) * easy + s.hard * hard) for s, p in shares if not s.missed)
    # A redrafted row delivers its bonus token. A round verifies what the round before found, so
    # the redrafted hits are those of rounds where not all b rows hit.
    redrafted_hits, misses = hits[:b] @ np.arange(b), hits @ np.arange(b, -1, -1)
    return Census({K: hits}, (float(misses) / b, float(cached + redrafted_hits) / b))
