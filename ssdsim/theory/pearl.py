"""Exact expectations of PEARL: a window of drafts beside every verify, and a barrier behind both.

A row's round verifies nothing but the window's first token (of which it needs nothing), or, while
its draft has been right all the way, what is left of the window before.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ssdsim.theory.census import Expectation
from ssdsim.theory.known_texts import drafted
from ssdsim.theory.lockstep import Law
from ssdsim.theory.markov import Array, count, stationary
from ssdsim.theory.round_seconds import Seconds, Whole, beside, mean
from ssdsim.theory.text_walk import Rounds, Texts, walk


@dataclass(frozen=True)
class PearlTimes:
    """Seconds of PEARL's rounds.

    Attributes
    ----------
    handshake
        What every round spends on messages.
    verify
        Of (rows, tokens of all rows).
    window
        Of drafting a window, all rows together.
    slowdown
        How much slower target and draft run while both are busy.

    """

    handshake: float
    verify: Callable[[int, int], Seconds]
    window: Seconds
    slowdown: tuple[float, float] = (1.0, 1.0)

    def round(self, rows: int, ahead: int) -> Array:
        """Return the mean seconds of a round with `ahead` drafted tokens under verification."""
        both = beside(self.verify(rows, rows + ahead), self.window, self.slowdown)
        return self.handshake + mean(np.maximum(both.verified, both.drafted))


class _Place(NamedTuple):
    """Where a row is: at an easy or hard place, and how far past it its draft is right."""

    hard: int
    done: int


def expect_pearl(law: Law, times: PearlTimes, window: int, batch: int = 1) -> Expectation:
    """Return the long-run values where positions are alike.

    Rows share the clock alone, so the number of them that are ahead is binomial.
    """
    most = max(map(len, law.reject))

    def length(place: _Place) -> int:
        return max(window - 1, 0) if place.done else 0

    def alive(place: _Place) -> Array:
        """Return P(the first j tokens are right), j = 0..length + 1."""
        hazards = law.reject[place.hard]
        ahead = range(place.done, place.done + length(place) + 1)
        right = [1 - hazards[min(j, len(hazards) - 1)] for j in ahead]
        chances: Array = np.cumprod(np.array([1.0, *right]))
        return chances

    def step(place: _Place) -> Mapping[_Place, float]:
        right = float(alive(place)[-1])
        surprise = law.tail[place.hard](law.reference_fanout)
        chances = {
            _Place(0, 0): (1 - right) * (1 - surprise),
            _Place(1, 0): (1 - right) * surprise,
        }
        return chances | {_Place(place.hard, min(most, place.done + length(place) + 1)): right}

    shares = stationary(_Place(0, 0), step)
    # A round's tokens: those right of all but the last asked about, and one more.
    tokens = sum(share * float(alive(place)[:-1].sum()) for place, share in shares.items())
    return _expected(times, sum(p for at, p in shares.items() if at.done), tokens, window, batch)


def expect_pearl_texts(
    texts: Texts, moments: Whole, times: PearlTimes, window: int, batch: int = 1
) -> Expectation:
    """Return the values over known texts, as `known_texts.expect_texts` does."""
    kinds = [_rounds(texts, moments, times, length, window) for length in (0, max(window - 1, 0))]
    walked = walk(texts, kinds)
    tokens = walked.tokens / walked.rounds
    if batch == 1:
        return _alike(walked.tokens / walked.seconds, tokens, walked.seconds / walked.rounds)
    return _expected(times, walked.hits / walked.rounds, tokens, window, batch)


def _rounds(texts: Texts, moments: Whole, times: PearlTimes, length: int, window: int) -> Rounds:
    """Return rounds of so many tokens: a "hit" is that the draft was right about the bonus too."""
    width = max(window - 1, 0) + 1
    shares, hits = drafted(texts, length, width - 1).shares, np.zeros((*texts.rank.shape, width))
    beyond = np.pad(texts.reject, ((0, 0), (0, length)), constant_values=1.0)[:, length:]
    hits[..., length] = 1 - beyond
    seconds = np.broadcast_to(times.round(1, length), int(moments.max()) + 1)[moments]
    none, follower = np.zeros_like(seconds), np.ones(texts.rank.shape, np.int64)
    return Rounds(shares, hits, seconds, none, none, follower)


def _expected(
    times: PearlTimes, share: float, tokens: float, window: int, batch: int
) -> Expectation:
    """Return values where a row is ahead in this share of its rounds, independent of others."""
    ahead = count([(batch, np.array([1 - share, share]))])
    each = max(window - 1, 0)
    parts = [p * times.round(batch, rows * each).item() for rows, p in enumerate(ahead.tolist())]
    seconds = math.fsum(parts)
    return _alike(batch * tokens / seconds, tokens, seconds)


def _alike(tokens_per_s: float, tokens: float, seconds: float) -> Expectation:
    return Expectation(tokens_per_s, tokens, 0.0, seconds, math.nan, tokens)
