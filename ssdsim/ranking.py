"""Which token stands before which: one way of comparing for drafts, candidates and recorded ranks.

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


def ranked(
    scores: ArrayLike, sent: int | None = None, count: int | None = None
) -> NDArray[np.intp]:
    """Return candidate ids, best first.

    Parameters
    ----------
    scores
        Shape (V,).
    sent
        The token drafted here, left out: it cannot be the bonus token. None at the last node.
    count
        How many; all by default. A short list of a large vocabulary needs no full sort.

    """
    order = _order(np.asarray(scores, np.float32), None if count is None else count + 1)
    return np.asarray(order[order != (-1 if sent is None else sent)][:count])


def _order(scores: NDArray[np.float32], count: int | None) -> NDArray[np.intp]:
    """Return at least the `count` best ids, sorted (stable: ties to the lower id)."""
    if count is None or count >= scores.size:
        return np.argsort(-scores, kind="stable")
    worst = np.partition(scores, scores.size - count)[scores.size - count]
    contenders = np.flatnonzero(scores >= worst)
    return contenders[np.argsort(-scores[contenders], kind="stable")]


def outranks(scores: ArrayLike, token: int) -> NDArray[np.bool_]:
    """Return which tokens stand before `token`, shape (V,)."""
    scores = np.asarray(scores, np.float32)
    level = scores == scores[token]
    level[token:] = False
    return np.asarray((scores > scores[token]) | level)


def rank_of(token: int, scores: ArrayLike, sent: int | None = None) -> int:
    """Return the place of `token` in `ranked(scores, sent)`, -1 if it is the one left out."""
    if token == sent:
        return -1
    before = outranks(scores, token)
    return int(before.sum()) - (sent is not None and bool(before[sent]))
