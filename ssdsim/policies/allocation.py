"""How to spend a budget of prepared outcomes over the positions of a speculation."""

from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ssdsim.errors import require

Costs = NDArray[np.float64]
Choices = list[NDArray[np.intp]]

# Sums of the same terms in another order differ by this much; a smaller gain is no gain.
ROUNDING = 1e-14


def allocate(budget: int, weights: Sequence[float], miss: Sequence[float]) -> tuple[int, ...]:
    """Return the whole F_0..F_K that minimise Σ weights[k]·miss[F_k] subject to ΣF_k <= budget.

    A dynamic programme over positions, since a measured miss curve need not be convex (for the
    power law F^-r a first branch gains nothing), and greedy steps fail there. Among optima it
    takes the one that spends least, then the one that spends earliest.

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
    return _trace(_tables(min(budget, len(weights) * (curve.size - 1)), weights, curve))


def _tables(budget: int, weights: Sequence[float], curve: Costs) -> tuple[Costs, Choices]:
    """Return the least cost of spending exactly 0..budget, and the last F for each position."""
    curve = curve[: budget + 1]
    cost = np.full(budget + 1, np.inf)
    cost[0] = 0.0
    choices = []
    for weight in weights:
        before = np.concatenate([np.full(curve.size - 1, np.inf), cost])
        options = sliding_window_view(before, curve.size)[:, ::-1] + weight * curve
        choices.append(options.argmin(axis=1))
        cost = options.min(axis=1)
    return cost, choices


def _trace(tables: tuple[Costs, Choices]) -> tuple[int, ...]:
    """Return the fan-outs of the cheapest cost, from the last position back to the first."""
    cost, choices = tables
    left = int(np.argmax(cost <= cost.min() * (1 + ROUNDING)))
    fanouts = []
    for choice in reversed(choices):
        fanouts.append(int(choice[left]))
        left -= fanouts[-1]
    return tuple(reversed(fanouts))
