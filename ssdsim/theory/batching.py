"""Closed forms of continuous batching: rounds a request, occupancy and capacity of a server.

R(n) is the seconds of a round with n rows, E[rounds] the mean rounds of a request.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, inf

import numpy as np
from numpy.typing import NDArray

from ssdsim.errors import require
from ssdsim.theory.ranges import check_positive, check_whole

RoundSeconds = Callable[[int], float]
"""R(n)."""
NEGLECTED = 1e-12
"""Weight beside the likeliest state below which the tail of an unlimited queue is left out."""
MOST_STATES = 10**6
"""States of an unlimited queue that are looked at before it is said never to end."""


def mean_rounds(shares: Sequence[float], tokens: int) -> float:
    """Return the mean rounds of a request of so many tokens.

    The renewal recursion m(L) = 1 + Σ_k P(k) m(L-k-1), m(x <= 0) = 0. More than L/τ, since what
    the last round has beyond the end is lost.

    Parameters
    ----------
    shares
        P(k drafted tokens are accepted), k = 0..K.
    tokens
        L.

    """
    _check_shares(shares)
    check_whole("tokens", tokens, 1)
    backwards = np.asarray(shares, float)[::-1]
    width = len(backwards)
    means = np.zeros(width + tokens)
    for length in range(1, tokens + 1):
        means[width + length - 1] = 1 + backwards @ means[length - 1 : length - 1 + width]
    return float(means[-1])


def mean_rounds_geometric(shares: Sequence[float], tokens: float) -> float:
    """Return the mean rounds where lengths are geometric of that mean, 1 / (1 - Σ_k P(k) q^(k+1)).

    q = 1 - 1/tokens is the chance that a token is not the last one, so a round of k + 1 tokens is
    followed by another with q^(k+1).
    """
    _check_shares(shares)
    check_positive("tokens", tokens)
    q = 1 - 1 / tokens
    return float(1 / (1 - sum(share * q ** (k + 1) for k, share in enumerate(shares))))


@dataclass(frozen=True)
class Occupancy:
    """How many requests are at a server in the long run.

    Attributes
    ----------
    shares
        P(n requests are there), n = 0, 1, ..., waiting ones included.
    rate
        Arrivals a second.
    step
        Mean seconds of a round, over time.

    """

    shares: NDArray[np.float64]
    rate: float
    step: float

    @property
    def requests(self) -> float:
        """Mean requests there."""
        return float(self.shares @ np.arange(len(self.shares)))

    @property
    def seconds(self) -> float:
        """Mean seconds from arrival to end: Little's law, and half a round to join the batch."""
        return self.requests / self.rate + self.step / 2


def occupancy(
    rate: float, rounds: float, round_seconds: RoundSeconds, slots: float = inf
) -> Occupancy:
    """Return the occupancy of a continuous batch under Poisson arrivals, as birth and death.

    Requests end at the rate μ(n) = min(n, B) / (E[rounds] R(min(n, B))), so π_n is proportional to
    Π λ/μ(i). Without a limit exact for every law of lengths to first order; with one exact for
    geometric lengths, and an upper bound of the waits for constant ones.

    Parameters
    ----------
    rate
        λ, arrivals a second.
    rounds
        E[rounds] of a request.
    round_seconds
        R(n).
    slots
        B, rows at most.

    Raises
    ------
    ConfigError
        More requests come than are served.

    """
    check_positive("rate", rate)
    logs, n = [0.0], 0
    while logs[-1] > max(logs) + np.log(NEGLECTED) or n <= 1:
        n += 1
        rows = int(min(n, slots))
        served = rows / (rounds * round_seconds(rows))
        right = f"needs fewer requests a second than are served, {served:g} by {rows} rows"
        require(n < min(slots, MOST_STATES) or rate < served, "rate", rate, right)
        logs.append(logs[-1] + float(np.log(rate / served)))
    weights = np.exp(np.array(logs) - max(logs))
    shares = weights / weights.sum()
    live = [int(min(there, slots)) for there in range(1, len(shares))]
    steps = np.array([0.0, *map(round_seconds, live)])
    return Occupancy(shares, rate, float(shares @ steps))


def capacity(prefill: float, rounds: float, round_seconds: float, slots: int) -> float:
    """Return the most requests a second when prompts are computed whole, in passes of their own.

    1/λ = t_prefill + E[rounds] R(B)/B.

    Parameters
    ----------
    prefill
        Seconds that one prompt holds up the batch.
    rounds, round_seconds, slots
        E[rounds], R(B) and B.

    """
    check_whole("slots", slots, 1)
    return 1 / (prefill + rounds * round_seconds / slots)


def capacity_chunked(
    fixed: float, token: float, rounds: float, lookahead: int, prompt: int, chunk: int, slots: int
) -> float:
    """Return the most requests a second when prompts are computed in chunks beside the decoding.

    1/λ = a (E[rounds] + ceil(I/chunk)) / B + b (I + (K+1) E[rounds]), where a pass takes a + b a
    token and its token budget does not bind.

    Parameters
    ----------
    fixed, token
        a and b, seconds of a pass and of each of its tokens.
    rounds
        E[rounds].
    lookahead, prompt, chunk, slots
        K, I, tokens of a chunk, and B.

    """
    check_whole("slots", slots, 1)
    check_whole("chunk", chunk, 1)
    passes = rounds + ceil(prompt / chunk)
    return 1 / (fixed * passes / slots + token * (prompt + (lookahead + 1) * rounds))


def _check_shares(shares: Sequence[float]) -> None:
    whole = len(shares) > 0 and min(shares) >= 0 and abs(sum(shares) - 1) < 1e-9
    require(whole, "shares", shares, "needs probabilities of 0..K accepted tokens, which sum to 1")
