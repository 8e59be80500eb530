r"""A confidence sequence for the mean of paired differences: it holds at all times at once.

It is that of the Bayesian t test: with n differences of mean d and of squares S about it, a mean of
zero is rejected where the Bayes factor

    (1 + n g)^(-1/2) ((A + n d^2) / (A + n d^2 / (1 + n g)))^((n + w) / 2),   A = S + w v,

reaches 1/a (Gonen, Johnson, Lu and Westfall, "The Bayesian two-sample t test", 2005; g is the
variance that a mean has before anything is observed, in units of that of the noise). With w = 0 it
is a martingale under the mean that is tested, whatever the noise's variance, so by Ville's
inequality it ever reaches 1/a, at any n, with a chance of at most a (Lai, "On confidence
sequences", 1976; Wang and Ramdas, "Anytime-valid t-tests and confidence sequences for Gaussian
means with unknown variance", 2025). So one may look after every observation and stop at will.

w are degrees of freedom that a pair borrows from others, of whose differences v is the variance.
The same then holds over pairs whose variances scatter as w v over a chi-square of w degrees of
freedom (Smyth, "Linear models and empirical Bayes methods", 2004).
"""

from math import inf

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

PRIOR_VARIANCE = 10.0
"""g: it moves how soon large and small differences are seen, and leaves the level as it is."""


def half_width(
    count: int, squares: Array | float, level: float, weight: float = 0.0, variance: float = 0.0
) -> Array:
    """Return how far a mean may be from the one observed.

    Parameters
    ----------
    count
        n, differences that were observed, 1 or more.
    squares
        S of each mean: the sum of their squares about it.
    level
        a, the chance that the mean is ever outside.
    weight, variance
        w and v.

    Returns
    -------
    array
        In the differences' unit; infinite where so few tell nothing.

    """
    spread = 1 + count * PRIOR_VARIANCE
    bound = (np.sqrt(spread) / level) ** (2 / (count + weight))
    if bound >= spread:
        return np.full(np.shape(squares), inf)
    amount = (np.asarray(squares) + weight * variance) * (bound - 1)
    return np.asarray(np.sqrt(amount / (count * (1 - bound / spread))))


def count_to_tell(difference: float, variance: float, level: float) -> float:
    """Return how many differences of a variance show that their mean is not zero; inf if none."""
    if not (difference > 0 and variance < inf):
        return inf
    low, high = 0, 1
    while _told(high, variance, level) > difference:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        told = _told(middle, variance, level) <= difference
        low, high = (low, middle) if told else (middle, high)
    return high


def _told(count: int, variance: float, level: float) -> float:
    return float(half_width(count, count * variance, level))
