"""Closed forms of speculative decoding (Leviathan, Kalman, Matias 2023, arXiv 2211.17192)."""

import math
from collections.abc import Sequence
from itertools import accumulate
from operator import mul

from ssdsim.theory.ranges import check_positive, check_share, check_whole


def acceptance_length(alpha: float, lookahead: int) -> float:
    """Return the mean tokens a round, τ = (1 - α^(K+1)) / (1 - α).

    Leviathan et al., eq. 1. Written as the sum of α^k it holds at α = 1 too, and loses no digits
    beside it.

    Parameters
    ----------
    alpha
        Probability that a drafted token is accepted, independent over positions.
    lookahead
        Drafted tokens a round, K.

    """
    check_share("alpha", alpha)
    check_whole("lookahead", lookahead, 0)
    return math.fsum(alpha**k for k in range(lookahead + 1))


def tree_length(holds: Sequence[float]) -> float:
    """Return the mean tokens a round where depths differ, τ = 1 + Σ_j Π_(i<=j) holds[i].

    EAGLE (Li et al. 2024), for a chain; of a tree with w children at depth i, holds[i] is the
    chance that they hold the target's token.

    Parameters
    ----------
    holds
        P(drafting goes on past depth i | it did before), i = 0..K-1.

    """
    for share in holds:
        check_share("holds", share)
    return 1 + math.fsum(accumulate(holds, mul))


def speculative_speedup(alpha: float, lookahead: int, cost: float) -> float:
    """Return speculative over autoregressive tokens/s, τ / (K·c + 1) (Leviathan et al., Thm 3.8).

    Parameters
    ----------
    alpha, lookahead
        As in `acceptance_length`.
    cost
        c, the seconds of a draft step over those of a target pass.

    """
    check_positive("cost", cost)
    return acceptance_length(alpha, lookahead) / (lookahead * cost + 1)


def operations_factor(alpha: float, lookahead: int, cost: float) -> float:
    """Return how many times the arithmetic a token takes, (K·ĉ + K + 1) / τ.

    Leviathan et al., Thm 3.11.

    Parameters
    ----------
    alpha, lookahead
        As in `acceptance_length`.
    cost
        ĉ, the draft's operations a token over the target's.

    """
    check_positive("cost", cost)
    return (lookahead * cost + lookahead + 1) / acceptance_length(alpha, lookahead)


def best_lookahead(alpha: float, cost: float, most: int = 64) -> int:
    """Return the lookahead in 0..`most` with the greatest `speculative_speedup`.

    0 when speculation does not pay (α <= c: Leviathan et al., Cor. 3.9); the least when several
    are as good.
    """
    check_whole("most", most, 0)
    return max(range(most + 1), key=lambda lookahead: speculative_speedup(alpha, lookahead, cost))


def seconds_per_token(draft: float, target: float, calls: float, discarded: float) -> float:
    """Return the seconds a token of speculation on one timeline, whatever decides its lengths.

    An identity (SpecDec++; Huang et al. 2024, section 4): every drafted token was delivered or
    discarded, and every target pass delivers one token that was not drafted, so it is
    t_q·(1 + D) + (t_p - t_q)·V.

    Parameters
    ----------
    draft, target
        t_q and t_p, seconds of a draft step and of a target pass.
    calls, discarded
        V and D, target passes and discarded drafts, each a token delivered.

    """
    check_positive("draft + target", draft + target)
    return draft * (1 + discarded) + (target - draft) * calls


def jacobi_passes(alpha: float, block: int) -> float:
    """Return the mean passes that Jacobi iteration reads a block, 2 + (b-1)·(1-α) - (1-α)^(b-1).

    Derived here for a first guess that is padding. Each of the other b-1 tokens is guessed once
    after a partly wrong prefix. A wrong guess ends a pass, which makes that token right. So
    there are as many passes as wrong guesses, and two more: the first, and the one that ends in
    right guesses, if only of the last token's own. Reading stops after b passes, which saves the
    last one where all guesses were wrong. Speedup: b over this, where all passes cost the same.

    Parameters
    ----------
    alpha
        Probability that a guess after a partly wrong prefix is right, independent over positions.
    block
        b, tokens guessed at a time.

    """
    check_share("alpha", alpha)
    check_whole("block", block, 1)
    return 2 + (block - 1) * (1 - alpha) - (1 - alpha) ** (block - 1)
