"""Markov chains: stationary distribution of states, and counts over independent rows."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, xlogy

Array = NDArray[np.float64]
State = TypeVar("State", bound=Hashable)

# Probabilities under this are rounding, and no transition.
NEGLIGIBLE = 1e-15


def stationary(
    start: State, transitions: Callable[[State], Mapping[State, float]]
) -> dict[State, float]:
    """Return the long-run share of every state that is reachable from `start`.

    Solves π(I - P + 1) = 1, with 1 the matrix of ones: π(I - P) = 0 and Σπ = 1 in one regular
    system, if one set of states is in the end never left.
    """
    found = {start: transitions(start)}
    queue = [start]
    for state in queue:
        new = [s for s, p in found[state].items() if p > NEGLIGIBLE and s not in found]
        found |= {s: transitions(s) for s in new}
        queue += new
    chain = np.array([[found[state].get(s, 0.0) for s in queue] for state in queue])
    ones = np.ones(len(queue))
    shares = np.linalg.solve((np.eye(len(queue)) - chain + 1).T, ones)
    return dict(zip(queue, shares.tolist(), strict=True))


def count(groups: Sequence[tuple[int, Array]]) -> Array:
    """Return P(k rows count), k = 0.., over groups of (rows, (P(does not), P(does count))).

    The coefficients of Π (no + yes·x)^rows; a pair may sum to less than 1, where some event in
    every row is part of what is asked.
    """
    terms = np.ones(1)
    for rows, pair in groups:
        terms = np.convolve(terms, _power(rows, pair))
    return terms


def _power(rows: int, pair: Array) -> Array:
    """Return the coefficients of (no + yes·x)^rows.

    From logarithms: the binomial coefficients of some thousand rows are no floats any more.
    """
    k = np.arange(rows + 1)
    terms: Array = np.exp(_ways(rows) + xlogy(rows - k, pair[0]) + xlogy(k, pair[1]))
    return terms


@lru_cache(maxsize=256)
def _ways(rows: int) -> Array:
    """Return the logarithms of the binomial coefficients."""
    k = np.arange(rows + 1)
    logs: Array = gammaln(rows + 1) - gammaln(k + 1) - gammaln(rows - k + 1)
    return logs
