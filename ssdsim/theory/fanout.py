"""Closed-form fan-outs and their miss rates (SSD paper, arXiv 2603.03251, Thm 12)."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from ssdsim.theory.ranges import check_positive, check_share, check_whole

Fanout = TypeVar("Fanout", int, float)


def outcome_weights(alpha: float, lookahead: int) -> list[float]:
    """Return P(k drafted tokens are accepted), k = 0..K: α^k·(1-α), and α^K for all of them."""
    check_share("alpha", alpha)
    check_whole("lookahead", lookahead, 0)
    return [alpha**k * (1 - alpha) for k in range(lookahead)] + [alpha**lookahead]


def geometric_fanout(budget: float, alpha: float, exponent: float, lookahead: int) -> list[float]:
    """Return the real-valued F_0..F_K with sum `budget` that miss least (SSD paper, Thm 12).

    Minimises Σ w_k·F_k^-r with w = `outcome_weights`. By Lagrange F_k ∝ w_k^(1/(1+r)), which is
    the theorem's F_k = F_0·α^(k/(1+r)) and F_K = F_0·α^(K/(1+r))·(1-α)^(-1/(1+r)), and also
    holds at α = 1, where the whole budget goes to F_K.

    Parameters
    ----------
    budget
        Outcomes that are prepared a round, ΣF_k.
    alpha, lookahead
        As in `acceptance_length`.
    exponent
        r of the miss curve P(bonus outside the draft's top F) = F^-r.

    """
    check_positive("budget", budget)
    check_positive("exponent", exponent)
    shares = [weight ** (1 / (1 + exponent)) for weight in outcome_weights(alpha, lookahead)]
    return [budget * share / math.fsum(shares) for share in shares]


def fanout_objective(
    fanouts: Iterable[Fanout], weights: Sequence[float], miss: Callable[[Fanout], float]
) -> float:
    """Return the miss rate Σ w_k·miss(F_k), the objective of Thm 12 of the SSD paper.

    Parameters
    ----------
    fanouts
        F_0..F_K.
    weights
        P(k drafted tokens are accepted), k = 0..K.
    miss
        P(bonus token outside the draft's top F); for a table, its `__getitem__`.

    """
    return math.fsum(w * miss(fanout) for w, fanout in zip(weights, fanouts, strict=True))
