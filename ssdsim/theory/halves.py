"""Exact expectation of MineDraft: the halves of a batch take turns, one is verified, one drafted.

What a row's rounds deliver is what they deliver in speculative decoding. A row is verified in every
second turn, and a turn lasts as long as the longer of both pieces of work.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ssdsim.theory.census import Expectation
from ssdsim.theory.round_seconds import Seconds, beside, mean


class Half(NamedTuple):
    """The rows that are verified together.

    Attributes
    ----------
    rows
        How many.
    lookahead
        K, tokens drafted for each.
    tokens
        Mean tokens that each delivers in a round.

    """

    rows: int
    lookahead: int
    tokens: float


@dataclass(frozen=True)
class TurnTimes:
    """Seconds of a turn's pieces of work.

    Attributes
    ----------
    handshake
        Of (drafted tokens of all rows): messages, before both models begin.
    verify
        Of (rows, tokens of all rows).
    chain
        Of (rows, K): drafting so many tokens of each in series.
    slowdown
        How much slower target and draft run while both are busy.

    """

    handshake: Callable[[int], float]
    verify: Callable[[int, int], Seconds]
    chain: Callable[[int, int], Seconds]
    slowdown: tuple[float, float] = (1.0, 1.0)

    def turn(self, verified: Half, drafted: Half) -> float:
        """Return the mean seconds of verifying one half beside drafting the other."""
        verify = self.verify(verified.rows, verified.rows * (verified.lookahead + 1))
        chain = self.chain(drafted.rows, drafted.lookahead) if drafted.lookahead else 0.0
        both = beside(verify, chain, self.slowdown)
        seconds = mean(np.maximum(both.verified, both.drafted)).item()
        return self.handshake(drafted.rows * drafted.lookahead) + seconds


def expect_halves(one: Half, other: Half, times: TurnTimes) -> Expectation:
    """Return the long-run values of two halves: tokens over the seconds of two turns."""
    seconds = times.turn(one, other) + times.turn(other, one)
    delivered = one.rows * one.tokens + other.rows * other.tokens
    tokens = delivered / (one.rows + other.rows)
    return Expectation(delivered / seconds, tokens, 0.0, seconds, math.nan, tokens)
