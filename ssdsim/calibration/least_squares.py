"""Solves equations between seconds and their unknowns by robust, non-negative least squares."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.optimize import lsq_linear

from ssdsim.calibration.observations import Observation, Unknown

REWEIGHTED = 5
SMALL_MISS = 0.01
"""Misses under it count alike: that is what a median over a run's pieces is sure of."""


def solve(equations: Sequence[Observation]) -> dict[Unknown, float]:
    """Return the unknowns, none negative, that miss the equations least in relative terms.

    Of the misses the absolute values count, not the squares (by weights that are found anew a few
    times): a run that something else on the machine held up then says little.
    """
    unknowns = sorted({unknown for one in equations for unknown in one.factors})
    if not unknowns:
        return {}
    matrix = np.array(
        [[one.factors.get(unknown, 0.0) / one.seconds for unknown in unknowns] for one in equations]
    )
    scale = np.abs(matrix).max(axis=0)
    weights = np.ones(len(equations))
    for _ in range(REWEIGHTED):
        weighted = weights[:, None] * matrix / scale
        found = lsq_linear(weighted, weights, (0, np.inf), method="bvls").x.clip(0.0)
        weights = np.maximum(np.abs(matrix / scale @ found - 1), SMALL_MISS) ** -0.5
    return dict(zip(unknowns, (found / scale).tolist(), strict=True))


def predicted(one: Observation, seconds: Mapping[Unknown, float]) -> float:
    """Return the seconds that the fitted unknowns give for an equation."""
    return sum(factor * seconds[unknown] for unknown, factor in one.factors.items())
