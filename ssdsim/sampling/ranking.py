"""Ranks tokens by score: one order for drafts, candidates and recorded ranks.

By float32 score, ties to the lower id. So "the best token" and "rank 0" are always the same token,
and a rank is the same whether a trace was recorded in this process or another one. float32 cannot
tell scores apart that differ in the eighth digit; nothing that decides tokens may, therefore, use
another precision to compare.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def best(scores: ArrayLike) -> NDArray[np.intp]:
    """Return the ids of the best tokens over the last axis."""
    return np.asarray(np.argmax(np.asarray(scores, np.float32), axis=-1))


def ranked(scores: ArrayLike, count: int | None = None) -> NDArray[np.intp]:
    """Return candidate ids, best first.

    Parameters
    ----------
    scores
        Shape (V,).
    count
        How many, at least 1; all by default. A short list needs no full sort.

    """
    scores = np.asarray(scores, np.float32)
    return top(scores, scores.size if count is None else min(count, scores.size))


def top(scores: ArrayLike, count: int) -> NDArray[np.intp]:
    """Return the ids of the `count` best tokens over the last axis, best first.

    Ties go to the lower id: a stable sort of the contenders, of which a partition leaves few.

    Parameters
    ----------
    scores
        Shape (..., V), without NaN.
    count
        1 .. V. A short list of a large vocabulary needs no full sort.

    Returns
    -------
    array
        Shape (..., count).

    """
    scores = np.asarray(scores, np.float32)
    rows = scores.reshape(-1, scores.shape[-1])
    found = np.array([_best_of(row, count) for row in rows])
    return np.asarray(found.reshape(*scores.shape[:-1], count), np.intp)


def _best_of(scores: NDArray[np.float32], count: int) -> NDArray[np.intp]:
    worst = np.partition(scores, scores.size - count)[scores.size - count]
    contenders = np.flatnonzero(scores >= worst)
    order: NDArray[np.intp] = contenders[np.argsort(-scores[contenders], kind="stable")]
    return order[:count]


def outranks(scores: ArrayLike, token: int) -> NDArray[np.bool_]:
    """Return which tokens stand before `token`, shape (V,)."""
    scores = np.asarray(scores, np.float32)
    level = scores == scores[token]
    level[token:] = False
    return np.asarray((scores > scores[token]) | level)
