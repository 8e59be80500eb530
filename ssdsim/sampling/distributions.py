"""From logits to the distributions that tokens are sampled from. Shared by ssdsim and ssdreal.

Everything is plain numpy on arrays whose last axis is the vocabulary (V token ids), probabilities
are float64, and tokens are compared as `ssdsim.sampling.ranking` says.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ssdsim.errors import require
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
    return decided(logits if temperature == 0 else perturb(p, gumbel))


def decided(scores: Array) -> View:
    """Return the view of a model whose token is the best by these scores, shape (V,)."""
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
