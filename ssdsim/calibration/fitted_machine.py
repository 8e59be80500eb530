"""Turns a fit into a simulated machine: tables of seconds, extrapolated beyond measured sizes."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ssdsim.calibration.fit import Fit
from ssdsim.calibration.observations import DISPATCH
from ssdsim.latency.jitter import Jitter, NoJitter, Quantiles
from ssdsim.latency.machine import Drawing, Drawings, Machine, Slowdown, Speaking
from ssdsim.latency.table import Table

MOST_BATCH = 16
MOST_CONTEXT = 8192
MOST_TOKENS = 1024
DIGITS = 5

STEADY: Mapping[str, float] = {"target": 1.0, "draft": 1.0}


def machine(fit: Fit, state: Mapping[str, float] = STEADY, *, jitter: bool = True) -> Machine:
    """Return the machine of a fit.

    Parameters
    ----------
    fit
        What calibration found.
    state
        How much longer than in the fit everything takes, by model: the state of the machine.
    jitter
        Whether single pieces scatter.

    """
    target, draft = (state.get(lane, 1.0) for lane in ("target", "draft"))
    return Machine(
        target=_table(fit, "target", ("verify", "prefill"), target),
        draft=_table(fit, "draft", ("step", "fill", "glue", "tree", "prefill"), draft),
        colocated=_table(fit, "colocated", ("step", "fill", "prefill"), draft)
        if fit.surface("colocated", "step")
        else None,
        dispatch=_rounded(fit.seconds.get(DISPATCH, 0.0)),
        padding=fit.padding,
        shared=fit.shared,
        sampling=Drawings(*(_drawing(fit, name) for name in ("maximal", "gumbel"))),
        speaking=Speaking(*(_rounded(fit.part("target", part)) for part in ("head", "view"))),
        slowdown=Slowdown(*(_rounded(fit.slowdown[lane]) for lane in ("target", "draft"))),
        target_jitter=_jitter(fit, "target") if jitter else NoJitter(),
        draft_jitter=_jitter(fit, "draft") if jitter else NoJitter(),
    )


def _table(fit: Fit, model: str, works: tuple[str, ...], factor: float) -> Table:
    """Return the table of a model, and with it what was measured on more devices."""

    def on(devices: int) -> dict[str, dict[str, Any]]:
        return {work: _entry(fit, model, work, devices, factor) for work in works}

    return Table(on(1), elsewhere={devices: on(devices) for devices in fit.spreads(model)})


def _entry(fit: Fit, model: str, work: str, devices: int, factor: float) -> dict[str, Any]:
    """Return a pass as a table's entry."""
    if work == "fill":
        return {"seconds": _rounded(factor * fit.part(model, work, devices))}
    if work == "prefill":
        ends = [1, MOST_CONTEXT]
        fixed, token = (fit.part(model, part, devices) for part in (work, "prefill_token"))
        return {"tokens": ends, "seconds": [_rounded(factor * (fixed + token * n)) for n in ends]}
    surface = fit.surface(model, work, devices)
    known = {rows: carried_on(sizes) for rows, sizes in surface.items()}
    return _grid(known, fit.part(model, "cached"), factor) if known else {"seconds": 0.0}


def _grid(known: Mapping[int, Mapping[int, float]], cached: float, factor: float) -> dict[str, Any]:
    """Return the entry of a pass known for some numbers of rows, each at sizes of its own.

    More rows than were measured cost what their caches do.
    """
    sizes, contexts = sorted({size for of in known.values() for size in of}), [0, MOST_CONTEXT]
    curves = {rows: np.interp(sizes, list(of), list(of.values())) for rows, of in known.items()}
    curves = {1: curves[min(curves)], **curves, MOST_BATCH: curves[max(curves)]}
    seconds = [
        [[_rounded(factor * (s + cached * b * c)) for c in contexts] for s in curve.tolist()]
        for b, curve in curves.items()
    ]
    return {"batch": list(curves), "tokens": sizes, "context": contexts, "seconds": seconds}


def carried_on(known: Mapping[int, float]) -> dict[int, float]:
    """Return seconds by size with both ends carried on in a straight line.

    Down to a size of 1 they do not fall under half of the first value, and beyond the last size
    they do not fall at all; with one size known they stay the same.
    """
    sizes, values = list(known), list(known.values())
    if not sizes:
        return {}
    first = last = 0.0
    if len(sizes) > 1:
        first = (values[1] - values[0]) / (sizes[1] - sizes[0])
        last = max(0.0, (values[-1] - values[-2]) / (sizes[-1] - sizes[-2]))
    start = max(values[0] + first * (1 - sizes[0]), values[0] / 2)
    found = {1: start} | dict(known)
    if sizes[-1] < MOST_TOKENS:
        found[MOST_TOKENS] = values[-1] + last * (MOST_TOKENS - sizes[-1])
    return found


def _drawing(fit: Fit, coupling: str) -> Drawing:
    names = ("target", "target_token", "draft", "draft_token")
    return Drawing(**{name: _rounded(fit.part(coupling, name)) for name in names})


def _jitter(fit: Fit, lane: str) -> Jitter:
    if lane not in fit.jitter:
        return NoJitter()
    return Quantiles(tuple(_rounded(value) for value in fit.jitter[lane].tolist()))


def _rounded(value: float) -> float:
    """Round as files do, so that a profile that was read says what was fitted."""
    return float(f"{value:.{DIGITS}g}")
