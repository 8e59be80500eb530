"""Acceptance as runs of a text's positions: what a chain of any length makes of them, and back.

A position is one that the draft gets right after the true prefix, or not. Rounds begin where the
last one ended: behind a position that it got wrong, or, after a whole accepted draft whose bonus
token was its choice too, in the middle of a run. So rates by position at one K are a mixture of
both, and those at another K are another mixture of the same runs.
"""

from collections.abc import Sequence
from itertools import accumulate
from operator import mul

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

Array = NDArray[np.float64]

LONGEST = 64
"""Positions of a run that are told apart; beyond, chances are the same anyway."""
SURE = 1e-6
STEPS = 100


def beyond(run: Sequence[float]) -> float:
    """Return the chance at places of a run that no chain has come to.

    That of the last one, but no more than the mean over all but the first: few rounds come so
    far, and a run that never broke there would go on for ever.
    """
    reached = list(accumulate(run, mul))
    return min(run[-1], sum(reached[1:]) / sum(reached[:-1])) if sum(reached[:-1]) else run[-1]


def chain_rates(run: Sequence[float], lookahead: int) -> tuple[tuple[float, ...], float]:
    """Return the long-run rates by position of chains, and how often a run goes on behind them.

    Parameters
    ----------
    run
        P(right | the last j positions were, and the one before those was not), j = 0, 1, ...;
        the last one holds on.
    lookahead
        K >= 1.

    Returns
    -------
    tuple
        P(at least j drafts accepted), j = 1..K; and P(the bonus token is the draft's choice | all
        accepted).

    """
    alive, goes_on = _rounds(np.asarray(run, np.float64), lookahead)
    share = _stationary(goes_on, lookahead)
    rates = share @ alive
    whole = float(share @ goes_on / rates[-1]) if rates[-1] > 0 else float(run[-1])
    return tuple(rates.tolist()), whole


def run_chances(positions: Sequence[float]) -> tuple[float, ...]:
    """Return the chances along a run with which chains have these rates by position.

    The last of them is for all places beyond (`beyond`). By least squares: rates that no runs
    lead to are met as nearly as can be.
    """
    wanted, K = np.clip(np.asarray(positions, np.float64), SURE, 1 - SURE), len(positions)
    first = np.clip(wanted / np.append(1.0, wanted[:-1]), SURE, 1 - SURE)

    def off(logits: Array) -> Array:
        return np.asarray(chain_rates(_along(logits), K)[0]) - wanted

    found = least_squares(off, np.log(first / (1 - first)), max_nfev=STEPS)
    return _along(found.x)


def _along(logits: Array) -> tuple[float, ...]:
    chances = (1 / (1 + np.exp(-logits))).tolist()
    return (*chances, beyond(chances))


def _rounds(run: Array, lookahead: int) -> tuple[Array, Array]:
    """Return for a round at every place of a run P(at least j accepted), and P(it goes on)."""
    places = np.arange(LONGEST)[:, None] + np.arange(lookahead + 1)
    alive = np.cumprod(run[np.minimum(places, run.size - 1)], axis=1)
    return alive[:, :-1], alive[:, -1]


def _stationary(goes_on: Array, lookahead: int) -> Array:
    """Return how often a round begins at every place of a run."""
    moves = np.zeros((LONGEST, LONGEST))
    at = np.arange(LONGEST)
    moves[at, np.minimum(at + lookahead + 1, LONGEST - 1)] = goes_on
    moves[:, 0] += 1 - goes_on
    equations = moves.T - np.eye(LONGEST)
    equations[-1] = 1
    return np.linalg.solve(equations, np.append(np.zeros(LONGEST - 1), 1.0))
