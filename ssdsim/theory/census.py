"""Long-run values from how often each kind of round comes up."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ssdsim.theory.markov import NEGLIGIBLE, Array
from ssdsim.theory.round_seconds import Design, draft_work, redraft_seconds


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


class Census(NamedTuple):
    """Long-run shares of rounds, and what a row delivers in them.

    `hits` maps each length under verification to P(that length, and h = 0..b rows hit at its
    end); `delivered` is a row's mean tokens a round from missed speculations, and from hits.
    """

    hits: Mapping[int, Array]
    delivered: tuple[float, float]


def expected(design: Design[Any], census: Census) -> Expectation:
    """Return stationary mean tokens over stationary mean seconds (renewal-reward theorem)."""
    shares = np.sum(list(census.hits.values()), axis=0)
    hit_rate = float(shares @ np.arange(design.batch + 1)) / design.batch
    on_miss, on_hit = census.delivered
    seconds = _seconds(design, census.hits, shares)
    return Expectation(
        tokens_per_s=design.batch * (on_miss + on_hit) / seconds,
        acceptance_length=on_miss + on_hit,
        hit_rate=hit_rate,
        seconds_per_round=seconds,
        acceptance_length_on_hit=over(on_hit, hit_rate),
        acceptance_length_on_miss=over(on_miss, 1 - hit_rate),
    )


def over(total: float, share: float, otherwise: float = math.nan) -> float:
    """Return a mean over a share of all rounds, NaN where there are none."""
    return float(total / share) if share > NEGLIGIBLE else otherwise


def _seconds(design: Design[Any], hits: Mapping[int, Array], shares: Array) -> float:
    """Return the mean seconds of a round: handshake, redraft, then verify beside the draft.

    The redraft is due to the misses of the round before, but in the long run these are
    distributed as this round's are, and a mean of sums needs no more.
    """
    work = [float(share @ draft_work(design, n).free[:, 0]) for n, share in hits.items()]
    redraft = float(shares[::-1] @ redraft_seconds(design)[:, 0])
    return design.times.handshake + math.fsum([*work, redraft])
