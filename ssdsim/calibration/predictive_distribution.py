"""Draws another member of a population of which only a few are known (a new hour, a new kind).

The predictive distribution of a normal population whose mean and covariance are estimated, as in
Gelman et al., Bayesian Data Analysis, section 3.6: Student's t with one degree of freedom less than
there are members, wider by what the mean is unsure of.
"""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray


def another(members: NDArray[np.float64], rng: Generator) -> NDArray[np.float64]:
    """Return a member that might come next.

    Parameters
    ----------
    members
        Those known, shape (n, ...). Of a single one nothing can be said but itself.
    rng
        What it draws is the same for any members of this number: so populations in which the same
        things differ go together.

    """
    count = len(members)
    mean: NDArray[np.float64] = np.mean(members, axis=0)
    if count == 1:
        return mean
    normal, chi = rng.standard_normal(count), rng.chisquare(count - 1)
    # A sum of centred members has their covariance, whatever its shape.
    spread = np.tensordot(normal, members - mean, axes=1) / np.sqrt(count - 1)
    return np.asarray(mean + spread * np.sqrt((1 + 1 / count) * (count - 1) / chi))
