"""A target's early view: its logits with errors, as large as to be so far from the truth."""

import numpy as np
from numpy.random import Generator

from ssdsim.sampling.distributions import Array, softmax

_STEPS = 40
_LARGEST = 1e4


def early_logits(target: Array, distance: float, temperature: float, rng: Generator) -> Array:
    """Return logits that are off by as much everywhere as to be that far off on average.

    Parameters
    ----------
    target
        Its logits after every context, shape (contexts, V).
    distance
        Mean total variation between early and true probabilities, over all contexts.
    temperature
        Of those probabilities; 0 counts as 1.
    rng
        Of the errors, normal and independent.

    """
    errors, warm = rng.standard_normal(target.shape), temperature or 1.0
    truth, low, high = softmax(target / warm), 0.0, _LARGEST
    for _ in range(_STEPS if distance else 0):
        scale = (low + high) / 2 if low else high / 2
        off = np.abs(softmax((target + scale * errors) / warm) - truth).sum(axis=-1).mean() / 2
        low, high = (scale, high) if off < distance else (low, scale)
    return np.asarray(target + low * errors)
