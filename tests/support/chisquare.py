"""Chi-square tests on counts, rare cells pooled."""

from collections import Counter
from collections.abc import Hashable, Mapping

import numpy as np
from scipy.stats import chi2_contingency, chisquare


def goodness(counts: Mapping[Hashable, int], probabilities: Mapping[Hashable, float]) -> float:
    """Return the p-value of `counts` being drawn from `probabilities`."""
    if set(counts) - {cell for cell, p in probabilities.items() if p > 0}:
        return 0.0
    total = sum(counts.values())
    cells = [(counts.get(cell, 0), total * p) for cell, p in probabilities.items()]
    observed, expected = np.array(_pooled(cells, enough=lambda cell: cell[1] >= 5)).T
    return float(chisquare(observed, expected * observed.sum() / expected.sum()).pvalue)


def homogeneity(one: Counter, other: Counter) -> float:
    """Return the p-value of both counts being drawn from the same distribution."""
    cells = [(one[cell], other[cell]) for cell in sorted(one.keys() | other.keys())]
    table = np.array(_pooled(cells, enough=lambda cell: sum(cell) >= 10)).T
    return float(chi2_contingency(table).pvalue) if table.shape[1] > 1 else 1.0


def _pooled(cells, enough):
    kept = [cell for cell in cells if enough(cell)]
    rare = [cell for cell in cells if not enough(cell)]
    return [*kept, tuple(map(sum, zip(*rare, strict=True)))] if rare else kept
