"""Distributes a budget of prepared outcomes over a speculation's positions with fewest misses."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ssdsim.errors import require

Costs = NDArray[np.float64]
Whole = NDArray[np.intp]
Piece = tuple[int, int]
"""First and last F of a piece of the miss curve."""

# Sums of the same terms in another order differ by this much; a smaller gain is no gain.
ROUNDING = 1e-14

MOST_CELLS = 10**8
"""Numbers of 4 bytes that there is memory for."""

WORKING_CELLS = 32
"""Of them, for each outcome of a budget, beside one a position."""


def check_cost(budget: int, lookahead: int) -> None:
    """Refuse a budget that `allocate` could not share out among positions 0..K in memory."""
    most = MOST_CELLS // (lookahead + 1 + WORKING_CELLS)
    right = f"is too much to share out at lookahead={lookahead}: needs at most {most}"
    require(budget <= most, "policy.budget", budget, right)


def allocate(budget: int, weights: Sequence[float], miss: Sequence[float]) -> tuple[int, ...]:
    """Return the whole F_0..F_K that minimise Σ weights[k]·miss[F_k] subject to ΣF_k <= budget.

    A dynamic programme over positions, since a measured miss curve need not be convex (for the
    power law F^-r a first branch gains nothing), and greedy steps fail there. Among optima it
    takes the one that spends least, then the one that spends earliest. It takes memory for
    (K + 1)·budget numbers, and K·budget·log(budget) steps for each convex piece of the curve.

    Parameters
    ----------
    budget
        Outcomes that may be prepared.
    weights
        P(k drafted tokens are accepted), k = 0..K.
    miss
        P(bonus token outside the draft's top F), F = 0, 1, ...; non-increasing. No F_k exceeds
        its last index.

    Raises
    ------
    ConfigError
        A negative budget or weight, or a miss curve that is empty or holds a NaN.

    """
    curve = np.asarray(miss, dtype=float)
    require(budget >= 0, "budget", budget, "must be 0 or more")
    require(all(w >= 0 for w in weights), "weights", weights, "must be 0 or more each")
    require(curve.size > 0 and bool(np.all(curve >= 0)), "miss", miss, "must be probabilities")
    return _trace(*_tables(min(budget, len(weights) * (curve.size - 1)), weights, curve))


def _tables(
    budget: int, weights: Sequence[float], curve: Costs
) -> tuple[Costs, list[NDArray[np.int32]]]:
    """Return the least cost of spending at most 0..budget, and the last F for each position."""
    curve = curve[: budget + 1]
    pieces, cost, choices = _convex(curve), np.zeros(budget + 1), []
    for weight in weights:
        before, cost = cost, np.full(budget + 1, np.inf)
        fanout = np.zeros(budget + 1, np.int32)
        for first, last in pieces:
            spent = _spent_before(before, weight * curve[first : last + 1], first)
            F = np.arange(first, budget + 1) - spent
            total = before[spent] + weight * curve[F]
            better = np.flatnonzero(total < cost[first:])
            cost[first:][better], fanout[first:][better] = total[better], F[better]
        choices.append(fanout)
    return cost, choices


def _convex(curve: Costs) -> list[Piece]:
    """Return pieces of a curve that are convex, but for rounding."""
    bends = np.diff(curve, 2) < -4 * np.finfo(float).eps * curve[1:-1]
    last = [*(np.flatnonzero(bends) + 1).tolist(), curve.size - 1]
    return list(zip([0, *(index + 1 for index in last[:-1])], last, strict=True))


def _spent_before(before: Costs, piece: Costs, first: int) -> Whole:
    """Return for every budget what the positions before spend of it, where the last one is best.

    The least of before[i] + piece[budget - first - i] over i, and of equals the largest i. Where
    `piece` is convex, i never falls as the budget grows; so every second budget is found first,
    and the others between their neighbours.

    Parameters
    ----------
    before
        Least cost of the positions before, by what they may spend.
    piece
        Cost of the last position at F = first, first + 1, ...
    first
        That F.

    """
    size = before.size - first
    best = np.zeros(size, np.intp)
    step = 1 << size.bit_length()
    while step := step // 2:
        rows = np.arange(step - 1, size, 2 * step)
        left = np.where(rows >= step, best[rows - step], 0)
        right = np.where(rows + step < size, best[np.minimum(rows + step, size - 1)], size)
        left = np.maximum(left, rows - (piece.size - 1))
        best[rows] = _least(before, piece, rows, left, np.minimum(right, rows))
    return best


def _least(before: Costs, piece: Costs, rows: Whole, left: Whole, right: Whole) -> Whole:
    """Return for every row the i from left to right with the least before[i] + piece[row - i]."""
    widths = right - left + 1
    ends = np.cumsum(widths)
    begins = ends - widths
    i = np.arange(ends[-1]) + np.repeat(left - begins, widths)
    costs = before[i] + piece[np.repeat(rows, widths) - i]
    least = np.repeat(np.minimum.reduceat(costs, begins), widths)
    at = np.flatnonzero(costs == least)
    found: Whole = i[at[np.searchsorted(at, ends) - 1]]
    return found


def _trace(cost: Costs, choices: list[NDArray[np.int32]]) -> tuple[int, ...]:
    """Return the fan-outs of the cheapest cost, from the last position back to the first."""
    left = int(np.argmax(cost <= cost.min() * (1 + ROUNDING)))
    fanouts = []
    for choice in reversed(choices):
        fanouts.append(int(choice[left]))
        left -= fanouts[-1]
    return tuple(reversed(fanouts))
