"""Computes one row of the acceptance trace from target and draft logits at one position.

Why they suffice to replay every chain draft is said in docs/acceptance_trace.md.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssdsim.errors import require
from ssdsim.sampling.distributions import Array, View, certain, saguaro
from ssdsim.sampling.ranking import outranks, ranked
from ssdsim.sampling.settings import Sampling


def position_row(
    target: View,
    draft: View,
    token: int,
    grid: Sequence[tuple[float, int]] = (),
    top: int = 32,
) -> dict[str, Any]:
    """Return the columns of one position, from `token` to `saguaro_e`.

    Parameters
    ----------
    target, draft
        What each model makes of the position after the true prefix (`distributions.view`; both
        with the position's noise under the `gumbel` coupling).
    token
        x, what the target generated here.
    grid
        Saguaro settings (C, F) to compute a and e for.
    top
        M, how many of the draft's candidates to keep (all, if the vocabulary is smaller).

    Returns
    -------
    dict
        `rank` of x by the draft's scores; `a` and `e` from the probabilities; `logp`, `logq`,
        `top_q`, `top_p` from the beliefs (natural logarithm; -inf where truncation left nothing).

    """
    p, q = _written(target.probabilities, token), draft.probabilities
    before = outranks(draft.scores, token)
    a, e = _decision(p, q, token, before)
    rule = [_decision(p, held, token, before) for held in _held_back(q, grid)]
    return {
        "token": token,
        "rank": int(before.sum()),
        "a": a,
        "e": e,
        **_beliefs(target, draft, token, top),
        "saguaro_a": [a for a, _ in rule],
        "saguaro_e": [e for _, e in rule],
    }


def _written(p: Array, token: int) -> Array:
    """Return what the target's token came from.

    A pass of another shape rounds otherwise, so x may be a near tie of the target's best token
    here. The text says x: then x is what the target was sure of.
    """
    return p if p[token] > 0 else certain(token, p.size)


def _beliefs(target: View, draft: View, token: int, top: int) -> dict[str, Any]:
    """Return what both hold of x, and of the draft's candidates."""
    ids = ranked(draft.scores, count=top)
    with np.errstate(divide="ignore"):
        logp, logq = np.log(target.belief[token]), np.log(draft.belief[token])
    return {
        "logp": float(logp),
        "logq": float(logq),
        "top_ids": ids.tolist(),
        "top_q": draft.belief[ids].tolist(),
        "top_p": target.belief[ids].tolist(),
    }


def is_deterministic(sampling: Sampling) -> bool:
    """Return whether the models and the noise leave nothing to chance after a prefix."""
    return sampling.temperature == 0 or sampling.coupling == "gumbel"


def holds_back(sampling: Sampling) -> bool:
    """Return whether Saguaro sampling changes what the draft sends.

    It changes nothing at C = 1, nor in greedy decoding, where all of q is on one token.

    Raises
    ------
    ConfigError
        It is asked for under the `gumbel` coupling, which has no residual to push anywhere.

    """
    C = sampling.saguaro_constant
    if C == 1 or sampling.temperature == 0:
        return False
    right = "must be 1 under coupling=gumbel, which draws nothing from a residual"
    require(sampling.coupling == "maximal", "saguaro.constant", C, right)
    return True


def _held_back(q: Array, grid: Sequence[tuple[float, int]]) -> Iterator[Array]:
    """Yield what the draft samples from under every setting; its best tokens are the same."""
    leading = ranked(q, count=max(F for _, F in grid)) if grid else None
    return (saguaro(q, C, F, leading) for C, F in grid)


def _decision(p: Array, q: Array, token: int, before: NDArray[np.bool_]) -> tuple[float, float]:
    """Return (a, e): acceptance given x, and whether a rejected draft stood before x."""
    excess = np.maximum(q - p, 0.0)
    total = float(excess.sum())
    outranked = float(excess[before].sum()) / total if total > 0 else 0.0
    return min(1.0, float(q[token] / p[token])), min(1.0, outranked)
