"""The exact long-run throughput of `ssd` with deterministic times, as a Markov reward process.

It covers what the closed forms of `theory` leave out: acceptance that differs between easy and
hard places, times that depend on batch, length and branches, draft steps in flight when the
verify ends, and backups whose speculations are worse. Times are in seconds.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ssdsim.theory.lockstep import (
    Design,
    Law,
    RowState,
    Times,
    draft_work,
    mean_tokens,
    outcome_table,
    redraft_seconds,
)
from ssdsim.theory.markov import NEGLIGIBLE, Array, count, stationary

__all__ = [
    "Design",
    "Expectation",
    "Law",
    "Times",
    "expect_autoregressive",
    "expect_speculative",
    "expect_ssd",
]


@dataclass(frozen=True)
class Expectation:
    """Long-run values; lengths are tokens a row and round, bonus included.

    `tokens_per_s` sums over the rows. A round is "on hit" when the speculation that it verifies
    had been found in the speculation cache, even where a batch-mate's miss had it redrafted. NaN
    where no such round happens.
    """

    tokens_per_s: float
    acceptance_length: float
    hit_rate: float
    seconds_per_round: float
    acceptance_length_on_hit: float
    acceptance_length_on_miss: float


def expect_ssd(design: Design) -> Expectation:
    """Return the long-run values of `ssd`: stationary mean tokens over stationary mean seconds.

    That ratio is the renewal-reward theorem. Exact up to rounding, with one convention: a piece
    of draft work that ends together with the verify counts as done.

    Raises
    ------
    ConfigError
        `law.tail` rises.

    """
    coupled = design.batch > 1 and design.redraft == "all" and not design.backup_accepts
    census = _coupled(design) if coupled else _independent(design)
    shares = np.sum(list(census.hits.values()), axis=0)
    hit_rate = float(shares @ np.arange(design.batch + 1)) / design.batch
    on_miss, on_hit = census.delivered
    seconds = _seconds(design, census.hits, shares)
    return Expectation(
        tokens_per_s=design.batch * (on_miss + on_hit) / seconds,
        acceptance_length=on_miss + on_hit,
        hit_rate=hit_rate,
        seconds_per_round=seconds,
        acceptance_length_on_hit=_mean(on_hit, hit_rate),
        acceptance_length_on_miss=_mean(on_miss, 1 - hit_rate),
    )


def expect_speculative(law: Law, times: Times, lookahead: int, batch: int = 1) -> Expectation:
    """Return the long-run values of `speculative`; `times.backup` is what its drafting takes."""
    return expect_ssd(Design(law, times, lookahead, lambda length: (0,) * (length + 1), batch))


def expect_autoregressive(verify: Callable[[int, int], float], batch: int = 1) -> Expectation:
    """Return the values of `autoregressive`: each pass of `verify` delivers one token a row."""
    seconds = verify(batch, batch)
    return Expectation(batch / seconds, 1.0, 0.0, seconds, math.nan, 1.0)


class _Census(NamedTuple):
    """Long-run shares of rounds, and what a row delivers in them.

    `hits` maps each length under verification to P(that length, and h = 0..b rows hit at its
    end); `delivered` is a row's mean tokens a round from missed speculations, and from hits.
    """

    hits: Mapping[int, Array]
    delivered: tuple[float, float]


class _Batch(NamedTuple):
    """The state of a batch: rows at hard places, and whether any row had missed."""

    hard: int
    missed: bool


def _independent(design: Design) -> _Census:
    """Count rounds where a row's future does not depend on its batch-mates.

    Rows share only the clock, so each is a Markov chain of its own and the hits of a batch are
    binomial (unless the chain is periodic, which takes probabilities of 0 and 1). Lengths differ
    with `truncate` alone, which has one row.
    """

    def step(row: RowState) -> Mapping[RowState, float]:
        ends = outcome_table(design, row)
        lengths = design.lookahead, draft_work(design, row.length, 1)[1]
        return {
            RowState(d, lengths[hit], bool(hit)): ends[d, hit] for d in (0, 1) for hit in (0, 1)
        }

    delivered = [0.0, 0.0]
    found: dict[int, Array] = {}
    for row, share in stationary(RowState(0, design.lookahead, hit=False), step).items():
        delivered[row.hit] += share * mean_tokens(design, row)
        ends = outcome_table(design, row).sum(axis=0)
        found[row.length] = found.get(row.length, np.zeros(2)) + share * ends
    hits = {n: p.sum() * count([(design.batch, p / p.sum())]) for n, p in found.items()}
    return _Census(hits, (delivered[0], delivered[1]))


def _coupled(design: Design) -> _Census:
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
    easy, hard = (mean_tokens(design, row) for row in rows[False])
    cached = sum(p * ((b - s.hard) * easy + s.hard * hard) for s, p in shares if not s.missed)
    # A redrafted row delivers its bonus token. A round verifies what the round before found, so
    # the redrafted hits are those of rounds where not all b rows hit.
    redrafted_hits, misses = hits[:b] @ np.arange(b), hits @ np.arange(b, -1, -1)
    return _Census({K: hits}, (float(misses) / b, float(cached + redrafted_hits) / b))


def _seconds(design: Design, hits: Mapping[int, Array], shares: Array) -> float:
    """Return the mean seconds of a round: handshake, redraft, then verify beside the draft.

    The redraft is due to the misses of the round before, but in the long run these are
    distributed as this round's are, and a mean of sums needs no more.
    """
    work = [(share, draft_work(design, n, h)[0]) for n in hits for h, share in enumerate(hits[n])]
    work += [(share, redraft_seconds(design, design.batch - h)) for h, share in enumerate(shares)]
    return design.times.handshake + math.fsum(share * seconds for share, seconds in work)


def _mean(total: float, share: float) -> float:
    return total / share if share > NEGLIGIBLE else math.nan
