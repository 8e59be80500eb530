"""The rules by which drafted tokens are accepted or rejected. Shared by ssdsim and ssdreal.

Everything is plain numpy on arrays whose last axis is the vocabulary (V token ids), and randomness
comes in as numbers (`ssdsim.sampling.noise`), so that the caller decides what is independent of
what.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from ssdsim.sampling.distributions import Array, residual, sample
from ssdsim.sampling.noise import Role
from ssdsim.sampling.ranking import best


def sound(q: Array) -> Array:
    """Return q, or zeros where it is no distribution: it holds NaN, infinities, or nothing.

    Nothing that was drafted from zeros is accepted, and the residual of zeros is p: so whatever a
    broken draft proposes, the target's distribution is what comes out.
    """
    with np.errstate(invalid="ignore"):
        return q if 0 < q.sum() < np.inf else np.zeros_like(q)


def accepts(p: Array, q: Array, token: int, luck: float) -> bool:
    """Tell whether a token that was sampled from q passes, with probability min(1, p/q).

    Comparisons with NaN are false, so they are put such that what is false rejects.
    """
    return bool(q[token] > 0 and luck * q[token] < p[token])


def verify_maximal(
    p: Sequence[Array] | Array,
    q: Sequence[Array] | Array,
    tokens: Sequence[int],
    uniforms: Mapping[Role, Array],
) -> tuple[int, int]:
    """Verify a chain by the rejection rule of Leviathan, Kalman and Matias (2023).

    Parameters
    ----------
    p
        Target distributions after 0 .. K drafted tokens, shape (K + 1, V). Rows after the first
        rejection are never asked for, so a sequence may compute them when they are.
    q
        The distributions that the tokens were really sampled from (under Saguaro sampling q', for
        a deterministic proposal `certain(tokens)`), shape (K, V). Tokens of rows that are no
        distributions are rejected, see `sound`.
    tokens
        The K drafted tokens.
    uniforms
        `accept`, `residual` and `bonus`: a number in (0, 1) a position, shape (K + 1,) each,
        independent of each other and of what proposed the tokens; see `Noise.block`.

    Returns
    -------
    tuple
        How many tokens are accepted, 0 .. K, and the token that follows them.

    """
    for k, token in enumerate(tokens):
        drafted = sound(q[k])
        if not accepts(p[k], drafted, token, uniforms["accept"][k]):
            return k, sample(residual(p[k], drafted), uniforms["residual"][k])
    return len(tokens), sample(p[len(tokens)], uniforms["bonus"][len(tokens)])


def verify_siblings(
    p: Array, q: Array, tokens: Sequence[int], accept: Sequence[float], uniform: float
) -> tuple[int | None, int]:
    """Verify the children of one node, all sampled from q (SpecInfer, Miao et al. 2024, Alg. 2).

    They are tried in turn: a child is accepted with probability min(1, p/q), and after each
    rejection p becomes the residual ∝ (p − q)+. With one child this is `verify_maximal`.

    Parameters
    ----------
    p, q
        What the target samples the next token from, and what the children really were sampled
        from, independently of each other; shape (V,).
    tokens
        The children, at least one.
    accept
        A number in (0, 1) a child, independent of each other: siblings that share one lose the
        target's distribution.
    uniform
        Draws the token where no child is accepted.

    Returns
    -------
    tuple
        Which child is accepted, None if none is, and the token that comes next.

    """
    q = sound(q)
    for child, (token, luck) in enumerate(zip(tokens, accept, strict=True)):
        if accepts(p, q, token, luck):
            return child, token
        p = residual(p, q)
    return None, sample(p, uniform)


def verify_gumbel(scores: Array, tokens: Sequence[int], gumbel: ArrayLike) -> tuple[int, int]:
    """Verify a chain against the target's own tokens (Daliri, Musco and Suresh 2024).

    Parameters
    ----------
    scores
        Log of the target distributions after 0 .. K drafted tokens, shape (K + 1, V). Raw logits
        with gumbel = 0 verify greedy decoding.
    tokens
        The K drafted tokens, wherever they came from.
    gumbel
        The noise of these positions, shape (K + 1, V) or broadcast to it.

    Returns
    -------
    tuple
        How many tokens are accepted, 0 .. K, and the token that follows them.

    """
    return verify_own(best(scores + np.asarray(gumbel)).tolist(), tokens)


def verify_own(own: Sequence[int], tokens: Sequence[int]) -> tuple[int, int]:
    """Verify a chain of K tokens against the K + 1 that the target itself has at its places."""
    for k, token in enumerate(tokens):
        if own[k] != token:
            return k, own[k]
    return len(tokens), own[len(tokens)]
