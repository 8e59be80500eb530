"""Computes a run's metrics and their 95 % confidence from its tables, simulated or real.

Nearly every metric is a ratio of two sums over the run's steps. A step is the stretch of decoding
time that ends when a round ends: the rows of a lock-step batch share it, rows that run on their
own each have theirs. So one function lists the summands of each ratio, `measure` divides the
sums, and `confidence` asks how much they scatter.

The 95 % half-widths are batch means. The steps, in time order, are cut into 32 contiguous blocks
of equal length (to within one step), a metric is a ratio of block sums, and the scatter of the
blocks about it gives its standard error: the delta method for ratios, with Student's t on
blocks - 1 degrees of freedom. This was chosen over replications because it needs no second run,
which a real machine might not grant, and treats simulated and real runs alike; and over a formula
for independent rounds because neighbouring rounds are correlated (a hard passage of the text, a
miss that leads into another speculator) and a block keeps such neighbours together. Its limits:

- Correlation must fade within a block. Under some 20 steps a block, or where one prompt fills
  several blocks, the half-widths are too narrow.
- It describes a steady state. A drift, such as a policy that is still learning, counts as noise.
- It says how well this run knows its own mean, over its own prompts and with its own service
  times. Whether the model of the machine is right is not a matter of scatter.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Ratios = dict[str, tuple[Floats, Floats]]

SPEEDUPS = ("speedup_over_ar", "speedup_over_sd", "speedup_over_same_devices")
"""Metrics that compare two runs; null until they are compared."""

BLOCKS = 32
IDLE = pa.array(["wait", "transfer"])
DRAFTING = pa.array(["speculate", "prespeculate"])


def measure(tables: Mapping[str, pa.Table], devices: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the metrics of `run.json` that follow from one run alone.

    Parameters
    ----------
    tables
        `rounds` and `spans`, as `ssdsim.run.trace` defines them.
    devices
        As `ssdsim.run.trace.Run` describes them.

    Returns
    -------
    dict
        By name, in seconds, joules, tokens or shares of 1; None where there is nothing to divide
        by or no device power is known.

    """
    steps = _Steps(tables["rounds"])
    tokens = int(steps.rows("accepted").sum() + steps.index.size)
    ratios = {
        name: _quotient(above.sum(), below.sum())
        for name, (above, below) in _ratios(tables).items()
    }
    speed, count = ratios["tokens_per_s"], sum(device["count"] for device in devices)
    return {
        "tokens": tokens,
        "seconds": float(steps.seconds.sum()),
        **ratios,
        "tokens_per_s_e2e": _quotient(tokens, steps.end.max(initial=0.0)),
        "tokens_per_s_per_device": None if speed is None else _quotient(speed, count),
        "wasted_draft_seconds": float(_wasted_seconds(_drafting(tables["spans"])).sum()),
        "energy_j": _energy(tables, devices),
    }


def confidence(tables: Mapping[str, pa.Table]) -> dict[str, float]:
    """Return the 95 % half-width of each ratio metric, by batch means.

    Returns
    -------
    dict
        By metric name, in the metric's own unit. A metric without a value is left out, and so is
        every one of a run with fewer than 4 steps.

    """
    ratios = {name: pair for name, pair in _ratios(tables).items() if pair[1].any()}
    return {
        name: _half_width(above, below)
        for name, (above, below) in ratios.items()
        if len(above) >= 4
    }


def speedup(a: float, a_ci: float, b: float, b_ci: float) -> tuple[float, float]:
    """Return a / b and its 95 % half-width.

    Parameters
    ----------
    a, b
        Tokens/s of two runs.
    a_ci, b_ci
        Their 95 % half-widths. The runs count as independent; runs that share a seed see the same
        acceptances, move together, and know their ratio better than is said here.

    """
    return a / b, a / b * float(np.hypot(a_ci / a, b_ci / b))


class _Steps:
    """Decoding time, cut wherever a round ends.

    Between two ends, whatever still runs ends later; so the decoding time in between is one
    stretch, from the earliest start among the rounds that are still to end.
    """

    def __init__(self, rounds: pa.Table) -> None:
        self.table = rounds
        self.end, index = np.unique(self.rows("end"), return_inverse=True)
        self.index: Ints = index
        earliest = np.full(self.end.size, np.inf)
        np.minimum.at(earliest, index, self.rows("start"))
        still_to_end = np.minimum.accumulate(earliest[::-1])[::-1]
        self.start: Floats = np.maximum(still_to_end, np.r_[-np.inf, self.end][: self.end.size])

    def rows(self, name: str) -> Floats:
        """Return a column of the rounds; a null is 0."""
        return _column(self.table, name)

    @cached_property
    def seconds(self) -> Floats:
        """Return the length of each step."""
        return self.end - self.start

    def total(self, rows: npt.ArrayLike) -> Floats:
        """Add up, for each step, a number a round."""
        return _sums(self.index, rows, self.end.size)

    def total_spans(self, spans: pa.Table, values: Floats) -> Floats:
        """Add up, for each step, a number a span; a span belongs to the step it starts in."""
        index = np.searchsorted(self.end, _column(spans, "start"), side="right")
        last = max(self.end.size - 1, 0)
        return _sums(np.minimum(index, last), values, self.end.size)


def _ratios(tables: Mapping[str, pa.Table]) -> Ratios:
    """Return for each ratio metric what is summed above and below its line, a number a step."""
    steps, spans = _Steps(tables["rounds"]), tables["spans"]
    return _by_round(steps) | _by_lane(steps, spans) | _by_token(steps, spans)


def _by_round(steps: _Steps) -> Ratios:
    column = steps.table["hit"]
    known, hit = column.is_valid().to_numpy(), steps.rows("hit") > 0
    tokens, miss = steps.rows("accepted") + 1, known & ~hit
    rows, duration = steps.total(np.ones(len(tokens))), steps.rows("end") - steps.rows("start")
    return {
        "tokens_per_s": (steps.total(tokens), steps.seconds),
        "step_seconds": (steps.total(duration) / rows, np.ones(len(rows))),
        "acceptance_length": (steps.total(tokens), rows),
        "hit_rate": (steps.total(hit), steps.total(known)),
        "acceptance_length_on_hit": (steps.total(tokens * hit), steps.total(hit)),
        "acceptance_length_on_miss": (steps.total(tokens * miss), steps.total(miss)),
    }


def _by_lane(steps: _Steps, spans: pa.Table) -> Ratios:
    busy = {
        f"{party}_busy": _busy_share(steps, spans.filter(pc.starts_with(spans["lane"], party)))
        for party in ("draft", "target")
    }
    working, seconds = _busy_share(steps, spans)
    return {**busy, "idle": (seconds - working, seconds)}


def _busy_share(steps: _Steps, spans: pa.Table) -> tuple[Floats, Floats]:
    """Return busy seconds and seconds of each step; no seconds for a party without a lane."""
    busy = _Busy.of(spans)
    return busy.until(steps.end) - busy.until(steps.start), steps.seconds * bool(len(spans))


def _by_token(steps: _Steps, spans: pa.Table) -> Ratios:
    verify = spans.filter(pc.equal(spans["kind"], "verify"))
    return {
        f"wasted_{party}_token_fraction": (
            steps.total_spans(work, _column(work, "tokens") - _column(work, "used")),
            steps.total_spans(work, _column(work, "tokens")),
        )
        for party, work in (("draft", _drafting(spans)), ("target", verify))
    }


@dataclass(frozen=True)
class _Busy:
    """Seconds with at least one span under way, as a function of time: linear between `times`."""

    times: Floats
    seconds: Floats

    @classmethod
    def of(cls, spans: pa.Table) -> "_Busy":
        spans = spans.filter(pc.invert(pc.is_in(spans["kind"], IDLE)))
        edges = np.stack(_union(_column(spans, "start"), _column(spans, "end")), axis=1)
        lengths = (edges[:, 1] - edges[:, 0]).cumsum()
        flat = np.stack([np.r_[0.0, lengths][: lengths.size], lengths], axis=1)
        return cls(edges.ravel(), flat.ravel())

    @property
    def total(self) -> float:
        """Return the busy seconds of the whole run."""
        return float(self.seconds.max(initial=0.0))

    def until(self, time: Floats) -> Floats:
        """Return the busy seconds before each `time`."""
        if not self.times.size:
            return np.zeros_like(time)
        return np.interp(time, self.times, self.seconds)


def _union(start: Floats, end: Floats) -> tuple[Floats, Floats]:
    """Return the starts and ends of the disjoint intervals that cover the same time."""
    order = np.argsort(start[end > start], kind="stable")
    start, end = start[end > start][order], np.maximum.accumulate(end[end > start][order])
    gap = start[1:] > end[:-1]
    opens, closes = np.r_[True, gap][: start.size], np.r_[gap, True][: start.size]
    return start[opens], end[closes]


def _drafting(spans: pa.Table) -> pa.Table:
    of_draft = pc.starts_with(spans["lane"], "draft")
    return spans.filter(pc.and_(of_draft, pc.is_in(spans["kind"], DRAFTING)))


def _wasted_seconds(spans: pa.Table) -> Floats:
    """Return each span's duration times its unused share; all of it if it made no token."""
    used = _column(spans, "used") / np.maximum(_column(spans, "tokens"), 1)
    return (_column(spans, "end") - _column(spans, "start")) * (1 - used)


def _energy(tables: Mapping[str, pa.Table], devices: Sequence[Mapping[str, Any]]) -> float | None:
    """Return the joules of all devices from time 0 to the last end, None without their watts."""
    watts = [device.get(name) for device in devices for name in ("busy_watts", "idle_watts")]
    if not watts or None in watts:
        return None
    ends = [_column(tables[name], "end").max(initial=0.0) for name in ("rounds", "spans")]
    return sum(_device_energy(tables["spans"], device, max(ends)) for device in devices)


def _device_energy(spans: pa.Table, device: Mapping[str, Any], elapsed: float) -> float:
    lanes = pa.array(device["lanes"], type=pa.string())
    busy = _Busy.of(spans.filter(pc.is_in(spans["lane"], lanes))).total
    one = device["busy_watts"] * busy + device["idle_watts"] * (elapsed - busy)
    return float(device["count"] * one)


def _half_width(above: Floats, below: Floats) -> float:
    """Return the 95 % half-width of sum(above) / sum(below), steps in time order."""
    from scipy.special import stdtrit

    blocks = min(BLOCKS, len(above) // 2)
    first = np.arange(blocks) * len(above) // blocks
    a, b = np.add.reduceat(above, first), np.add.reduceat(below, first)
    residual = a - a.sum() / b.sum() * b
    error = np.sqrt(blocks / (blocks - 1) * np.square(residual).sum()) / b.sum()
    return float(stdtrit(blocks - 1, 0.975) * error)


def _column(table: pa.Table, name: str) -> Floats:
    """Return a column as numbers; a null is 0."""
    column = table[name].cast(pa.float64()) if len(table) else pa.array([], pa.float64())
    values: Floats = column.fill_null(0.0).to_numpy()
    return values


def _sums(index: Ints, values: npt.ArrayLike, size: int) -> Floats:
    """Add up the values that share an index, in floats however short the run."""
    return np.asarray(np.bincount(index, values, minlength=size), dtype=np.float64)


def _quotient(above: float, below: float) -> float | None:
    return float(above / below) if below else None
