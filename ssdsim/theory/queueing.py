"""Closed forms of queues: one server at a time, shared drafts, and servers without limit.

Seconds and requests a second throughout. What batches do to a queue is in `batching`.
"""

from collections.abc import Callable
from math import exp, inf, log1p

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


def shared_draft(targets: int, verify: float, draft: float, devices: int = 1) -> float:
    """Return the rounds a second of targets that share draft devices, min(M/(Z+D), c/D).

    A device drafts for one target at a time and all seconds are constant.

    Parameters
    ----------
    targets, devices
        M and c.
    verify, draft
        Z and D, the seconds of a round without the draft, and of the draft for one of them.

    """
    _check_pool(targets, draft, devices)
    return min(targets / (verify + draft), devices / draft)


def shared_draft_exponential(targets: int, verify: float, draft: float, devices: int = 1) -> float:
    """Return the same where both times are exponential: machines under repair, M/M/c//M.

    Of n targets at the devices min(n, c) are served, and p(n-1) = p(n) min(n, c) Z / ((M-n+1) D)
    (birth and death in balance); so E[min(n, c)] / D rounds a second.
    """
    _check_pool(targets, draft, devices)
    there = np.arange(targets, 0, -1)
    with np.errstate(divide="ignore"):  # nobody verifies where that takes no time
        steps = np.log(verify / draft * np.minimum(there, devices) / (targets - there + 1))
    logs = np.cumsum([0.0, *steps])
    weights = np.exp(logs - logs.max())
    served = np.minimum(np.append(there, 0), devices)
    return float(weights @ served / weights.sum() / draft)


def shared_draft_wait(targets: int, verify: float, draft: float, rounds: float) -> float:
    """Return the mean seconds that a target waits for the draft, M/X - Z - D.

    Little's law of the whole circle, whatever the times are distributed like: each of the M targets
    verifies, waits and is drafted for, X rounds a second all together. So X (M/X - Z - D) wait.

    Parameters
    ----------
    targets, verify, draft
        M, Z and D as in `shared_draft`.
    rounds
        X, as `shared_draft` or `shared_draft_exponential` has it.

    """
    _check_above_0("rounds", rounds)
    return max(0.0, targets / rounds - verify - draft)


def _check_pool(targets: int, draft: float, devices: int) -> None:
    check_whole("targets", targets, 1)
    check_whole("devices", devices, 1)
    _check_above_0("draft", draft)


def _check_above_0(option: str, value: float) -> None:
    require(0 < value < inf, option, value, "must be a finite number > 0")


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
