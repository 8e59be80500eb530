"""Steps of decoding time, and what each of them adds to a run's metrics.

A step is the stretch of decoding time that ends when a round ends; see `ssdsim.run.metrics`.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Ratios = dict[str, tuple[Floats, Floats]]

IDLE = pa.array(["wait", "transfer"])
DRAFTING = pa.array(["speculate", "prespeculate"])


class Steps:
    """Decoding time, cut wherever a round ends.

    Between two ends, whatever still runs ends later; so the decoding time in between is one
    stretch, from the earliest start among the rounds that are still to end.
    """

    def __init__(self, rounds: pa.Table, after: float = -np.inf) -> None:
        self.table = rounds
        self.end, index = np.unique(self.rows("end"), return_inverse=True)
        self.index: Ints = index
        earliest = np.full(self.end.size, np.inf)
        np.minimum.at(earliest, index, self.rows("start"))
        still_to_end = np.minimum.accumulate(earliest[::-1])[::-1]
        self.start: Floats = np.maximum(still_to_end, np.r_[after, self.end][: self.end.size])

    def rows(self, name: str) -> Floats:
        """Return a column of the rounds; a null is 0."""
        return column(self.table, name)

    @cached_property
    def seconds(self) -> Floats:
        """Return the length of each step."""
        return self.end - self.start

    def total(self, rows: npt.ArrayLike) -> Floats:
        """Add up, for each step, a number a round."""
        return _sums(self.index, rows, self.end.size)

    def total_spans(self, spans: pa.Table, values: Floats) -> Floats:
        """Add up, for each step, a number a span; a span belongs to the step it starts in."""
        index = np.searchsorted(self.end, column(spans, "start"), side="right")
        last = max(self.end.size - 1, 0)
        return _sums(np.minimum(index, last), values, self.end.size)


def ratios(steps: Steps, spans: pa.Table) -> Ratios:
    """Return for each ratio metric what is summed above and below its line, a number a step."""
    return _by_round(steps) | _by_lane(steps, spans) | _by_token(steps, spans)


def _by_round(steps: Steps) -> Ratios:
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


def _by_lane(steps: Steps, spans: pa.Table) -> Ratios:
    busy = {
        f"{party}_busy": _busy_share(steps, spans.filter(pc.starts_with(spans["lane"], party)))
        for party in ("draft", "target")
    }
    working, seconds = _busy_share(steps, spans)
    return {**busy, "idle": (seconds - working, seconds)}


def _busy_share(steps: Steps, spans: pa.Table) -> tuple[Floats, Floats]:
    """Return busy seconds and seconds of each step."""
    busy = Busy.of(spans)
    return busy.until(steps.end) - busy.until(steps.start), steps.seconds


def _by_token(steps: Steps, spans: pa.Table) -> Ratios:
    verify = spans.filter(pc.equal(spans["kind"], "verify"))
    return {
        f"wasted_{party}_token_fraction": (
            steps.total_spans(work, column(work, "tokens") - column(work, "used")),
            steps.total_spans(work, column(work, "tokens")),
        )
        for party, work in (("draft", drafting(spans)), ("target", verify))
    }


@dataclass(frozen=True)
class Busy:
    """Seconds with at least one span under way, as a function of time: linear between `times`."""

    times: Floats
    seconds: Floats

    @classmethod
    def of(cls, spans: pa.Table) -> "Busy":
        """Add up the spans' times; waiting and messages are no work."""
        spans = spans.filter(pc.invert(pc.is_in(spans["kind"], IDLE)))
        edges = np.stack(_union(column(spans, "start"), column(spans, "end")), axis=1)
        lengths = (edges[:, 1] - edges[:, 0]).cumsum()
        flat = np.stack([np.r_[0.0, lengths][: lengths.size], lengths], axis=1)
        return cls(edges.ravel(), flat.ravel())

    def seconds_until(self, time: float) -> float:
        """Return the busy seconds before a time."""
        return float(self.until(np.array([time]))[0])

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


def drafting(spans: pa.Table) -> pa.Table:
    """Return the spans in which a draft drafts."""
    of_draft = pc.starts_with(spans["lane"], "draft")
    return spans.filter(pc.and_(of_draft, pc.is_in(spans["kind"], DRAFTING)))


def wasted_seconds(spans: pa.Table) -> Floats:
    """Return each span's duration times its unused share; all of it if it made no token."""
    used = column(spans, "used") / np.maximum(column(spans, "tokens"), 1)
    return (column(spans, "end") - column(spans, "start")) * (1 - used)


def column(table: pa.Table, name: str) -> Floats:
    """Return a column as numbers; a null is 0."""
    column = table[name].cast(pa.float64()) if len(table) else pa.array([], pa.float64())
    values: Floats = column.fill_null(0.0).to_numpy()
    return values


def _sums(index: Ints, values: npt.ArrayLike, size: int) -> Floats:
    """Add up the values that share an index, in floats however short the run."""
    return np.asarray(np.bincount(index, values, minlength=size), dtype=np.float64)
