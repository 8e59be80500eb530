"""The rules from logits to tokens: processing, sampling, accepting. Shared by ssdsim and ssdreal.

Everything is plain numpy on arrays whose last axis is the vocabulary (V token ids), probabilities
are float64, tokens are compared as `ssdsim.sampling.ranking` says, and randomness comes in as
numbers (`ssdsim.sampling.noise`), so that the caller decides what is independent of what.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ssdsim.errors import require
from ssdsim.sampling.noise import Role
from ssdsim.sampling.ranking import best, ranked, top

Array = NDArray[np.float64]

LEAST, MOST = 1e-30, 1e30
"""Between these float32, in which drafts sample, divides and multiplies without care.

Logits over a smaller temperature overflow, and chances times a smaller constant vanish.
"""

_FEW = 512


def certain(tokens: ArrayLike, vocabulary: int) -> Array:
    """Return the distributions that are sure of `tokens`: shape (..., V), 1 at the token.

    Also the q of deterministic proposals (n-gram, random): accepting them with any other q loses
    the target's distribution.
    """
    return np.asarray(np.arange(vocabulary) == np.asarray(tokens)[..., None], np.float64)


def check_temperature(temperature: float) -> None:
    """Refuse a temperature that logits cannot be divided by, in float32 either.

    Raises
    ------
    ConfigError
        It is neither 0 nor within the range.

    """
    fine = temperature == 0 or LEAST <= temperature <= MOST
    right = f"must be 0 (greedy) or from {LEAST:g} to {MOST:g}"
    require(fine, "temperature", temperature, right)


def check_saguaro(option: str, constant: float) -> None:
    """Refuse a constant C of Saguaro sampling that would leave held back tokens no chance.

    Raises
    ------
    ConfigError
        It is outside its range.

    """
    require(LEAST <= constant <= 1, option, constant, f"must be from {LEAST:g} to 1")


def softmax(scores: ArrayLike) -> Array:
    """Return probabilities ∝ exp(score) over the last axis; a score of -inf gets none."""
    scores = np.asarray(scores, np.float64)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))


def process(logits: ArrayLike, temperature: float, top_k: int = 0, top_p: float = 1.0) -> Array:
    """Return the distributions that tokens are sampled from.

    Temperature first, then top-k, then the nucleus, as in transformers' `generate`.

    Parameters
    ----------
    logits
        Shape (..., V).
    temperature
        0 puts everything on the best token.
    top_k
        Keep this many tokens; 0 keeps all.
    top_p
        Keep the fewest best tokens that together have this probability; 1 keeps all.

    Raises
    ------
    ConfigError
        A setting is outside its range.

    """
    check_temperature(temperature)
    require(top_k >= 0, "top_k", top_k, "must be 0 (all) or more")
    require(0 < top_p <= 1, "top_p", top_p, "must be over 0 and at most 1")
    logits = np.asarray(logits, np.float64)
    if temperature == 0:
        return certain(best(logits), logits.shape[-1])
    return _truncate(softmax(logits / temperature), top_k or logits.shape[-1], top_p)


def _truncate(p: Array, top_k: int, top_p: float) -> Array:
    """Keep the best `top_k` tokens, then the nucleus of what is left, and renormalise."""
    if top_k >= p.shape[-1] and top_p == 1:
        return p
    everything = top_k >= p.shape[-1]
    order = top(p, _nucleus(p, top_p) if everything else top_k)
    kept = np.take_along_axis(p, order, axis=-1)
    kept /= (p if everything else kept).sum(axis=-1, keepdims=True)
    # A token stays while those before it have less than top_p, so the best one always stays.
    kept[np.cumsum(kept, axis=-1) - kept >= top_p] = 0
    truncated = np.zeros_like(p)
    np.put_along_axis(truncated, order, kept, axis=-1)
    return np.asarray(truncated / truncated.sum(axis=-1, keepdims=True))


def _nucleus(p: Array, top_p: float) -> int:
    """Return how many of the best tokens surely hold the nucleus: few, for a sharp distribution."""
    few = min(_FEW, p.shape[-1])
    best_ones = np.partition(p, -few, axis=-1)[..., -few:]
    sharp = top_p < 1 and bool((best_ones.sum(axis=-1) > top_p).all())
    return few if sharp else int(p.shape[-1])


@dataclass(frozen=True, slots=True)
class View:
    """One model's view of one position.

    Attributes
    ----------
    probabilities
        What decides, shape (V,): the sampled token comes from it and acceptance compares it. All
        on one token where decoding is deterministic (greedy, or Gumbel noise that is known).
    scores
        What ranks, shape (V,).
    belief
        How likely the model holds each token to be the next one, shape (V,): equal to
        `probabilities` unless these are deterministic; then the softmax of the scores.

    """

    probabilities: Array
    scores: Array
    belief: Array


def view(
    logits: ArrayLike,
    temperature: float,
    gumbel: Array | None = None,
    top_k: int = 0,
    top_p: float = 1.0,
) -> View:
    """Return the view that logits of shape (V,) give.

    Parameters
    ----------
    logits, temperature, top_k, top_p
        As in `process`.
    gumbel
        The position's noise under the `gumbel` coupling, None under `maximal`. Greedy decoding
        has no noise: both couplings are the same there.

    """
    logits = np.asarray(logits, np.float64)
    p = process(logits, temperature, top_k, top_p)
    if temperature > 0 and gumbel is None:
        return View(p, logits, p)
    scores = logits if temperature == 0 else perturb(p, gumbel)
    return View(certain(best(scores), scores.size), scores, softmax(scores))


def perturb(p: Array, gumbel: ArrayLike | None) -> Array:
    """Return log p + g, whose best token is a sample of p (the Gumbel-max trick)."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(p) + np.asarray(gumbel))


def saguaro(
    q: Array, constant: float, fanout: int, leading: NDArray[np.intp] | None = None
) -> Array:
    """Return what the draft samples from under Saguaro sampling (SSD, section 4).

    q' ∝ C·q on the `fanout` best tokens of q and q elsewhere: accepted less often, but the
    residual (p − q')+ then lies on tokens whose outcomes are cached.

    Parameters
    ----------
    q
        Processed draft distribution, shape (V,).
    constant
        C, `LEAST` to 1; 1 changes nothing.
    fanout
        How many tokens are held back, at least 1.
    leading
        The best tokens of q, best first, where they are known already.

    Raises
    ------
    ConfigError
        A setting is outside its range.

    """
    check_saguaro("saguaro_constant", constant)
    require(fanout >= 1, "saguaro_fanout", fanout, "must be at least 1")
    if constant == 1:
        return q
    held = q.copy()
    best_ones = ranked(q, count=fanout) if leading is None else leading[:fanout]
    held[best_ones] *= constant
    return np.asarray(held / held.sum())


def sample(p: Array, uniform: float) -> int:
    """Return the token that `uniform` in (0, 1) picks from p (unnormalised will do)."""
    total = np.cumsum(p)
    # The product may round up to the total, which no token's interval holds: stay at the last
    # token that has probability.
    last = np.searchsorted(total, total[-1], side="left")
    return int(min(np.searchsorted(total, uniform * total[-1], side="right"), last))


def residual(p: Array, q: Array) -> Array:
    """Return the distribution ∝ (p − q)+ of the token that replaces a rejected sample of q.

    Where nothing is left (p = q up to rounding, so that a rejection had no chance) it is p.
    """
    excess = np.maximum(p - q, 0.0)
    total = excess.sum()
    return np.asarray(excess / total) if total > 0 else p


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
    own = best(scores + np.asarray(gumbel))
    differs = np.append(own[:-1] != np.asarray(tokens, np.intp), True)
    accepted = int(np.argmax(differs))
    return accepted, int(own[accepted])
