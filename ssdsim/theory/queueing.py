"""Closed forms of queues: one server at a time, a shared draft, and servers without limit.

Seconds and requests a second throughout. What batches do to a queue is in `batching`.
"""

from collections.abc import Callable
from math import exp, log1p

import numpy as np
from numpy.typing import NDArray

from ssdsim.errors import require
from ssdsim.theory.ranges import check_positive, check_whole


def pollaczek_khinchine(rate: float, mean: float, second_moment: float) -> float:
    """Return the mean wait in an M/G/1 queue, λ E[S²] / (2 (1 - ρ)).

    One sequence at a time, Poisson arrivals. Of c replicas among which requests are split at
    random each is one, with a c-th of the rate.

    Parameters
    ----------
    rate
        λ, arrivals a second.
    mean, second_moment
        E[S] and E[S²] of the seconds of a service.

    """
    load = _load(rate, mean)
    return rate * second_moment / (2 * (1 - load))


def processor_sharing(rate: float, mean: float, seconds: float) -> float:
    """Return the mean time in an M/G/1 processor-sharing queue of who asks for `seconds`, x/(1-ρ).

    A batch is one where a step takes time in proportion to its rows.
    """
    return seconds / (1 - _load(rate, mean))


def unlimited_servers(rate: float, mean: float, most: int) -> NDArray[np.float64]:
    """Return P(n requests are being served), n = 0..most, of M/G/∞: Poisson of mean λ E[T].

    A batch is one where a step takes the same time whatever its rows, and there is no limit to
    them. It depends on the services' mean alone.
    """
    check_positive("rate * mean", rate * mean)
    steps = np.log(rate * mean / np.arange(1, most + 1))
    return np.asarray(np.exp(np.cumsum([-rate * mean, *steps])))


def gamma_arrivals(rate: float, burstiness: float, mean: float) -> float:
    """Return the mean wait before one exponential server when gaps are gamma: G/M/1.

    σ S / (1 - σ), where σ = A*((1 - σ)/S) with the gaps' transform A*(s) = (1 + s/(kλ))^-k.

    Parameters
    ----------
    rate, mean
        λ and S, arrivals a second and mean seconds of a service.
    burstiness
        k, the gaps' shape; 1 is Poisson.

    """
    check_positive("burstiness", burstiness)
    _load(rate, mean)

    def transform(s: float) -> float:
        return exp(-burstiness * log1p(s / (burstiness * rate)))

    busy = _fixed_point(lambda sigma: transform((1 - sigma) / mean))
    return busy * mean / (1 - busy)


def shared_draft(targets: int, verify: float, draft: float) -> float:
    """Return the rounds a second of targets that share one draft, min(M/(Z+D), 1/D).

    A draft serves one target at a time and all seconds are constant.

    Parameters
    ----------
    targets
        M.
    verify, draft
        Z and D, the seconds of a round without the draft, and of the draft for one of them.

    """
    check_whole("targets", targets, 1)
    check_positive("draft", draft)
    return min(targets / (verify + draft), 1 / draft)


def shared_draft_exponential(targets: int, verify: float, draft: float) -> float:
    """Return the same where both times are exponential: the machine repairman, by mean values.

    X(M) = M / (Z + D (1 + Q(M-1))), Q(M) = X(M) D (1 + Q(M-1)) (Reiser and Lavenberg 1980).
    """
    check_whole("targets", targets, 1)
    check_positive("draft", draft)
    queue, rounds = 0.0, 0.0
    for customers in range(1, targets + 1):
        response = draft * (1 + queue)
        rounds = customers / (verify + response)
        queue = rounds * response
    return rounds


def _load(rate: float, mean: float) -> float:
    check_positive("rate", rate)
    check_positive("mean", mean)
    require(rate * mean < 1, "rate", rate, f"needs less than {1 / mean:g} a second: it never ends")
    return rate * mean


def _fixed_point(step: Callable[[float], float]) -> float:
    """Return the root of σ = step(σ) below 1 of an increasing convex function with step(1) = 1."""
    from scipy.optimize import brentq

    low = 0.0
    high = 1 - 1e-12
    return float(brentq(lambda sigma: step(sigma) - sigma, low, high))
