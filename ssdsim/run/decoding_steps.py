"""Steps of decoding time, and what each of them adds to a run's metrics.

A step is the stretch of decoding time that ends when a round ends; see `ssdsim.run.metrics`.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ssdsim.run.columns import Floats, Rounds, Spans, among

Ints = npt.NDArray[np.int64]
Ratios = dict[str, tuple[Floats, Floats]]


class Steps:
    """Decoding time, cut wherever a round ends.

    Between two ends, whatever still runs ends later; so the decoding time in between is one
    stretch, from the earliest start among the rounds that are still to end.
    """

    def __init__(self, rounds: Rounds, after: float = -np.inf) -> None:
        self.rounds = rounds
        self.end, index = np.unique(rounds.end, return_inverse=True)
        self.index: Ints = index
        earliest = np.full(self.end.size, np.inf)
        np.minimum.at(earliest, index, rounds.start)
        still_to_end = np.minimum.accumulate(earliest[::-1])[::-1]
        self.start: Floats = np.maximum(still_to_end, np.r_[after, self.end][: self.end.size])

    @cached_property
    def seconds(self) -> Floats:
        """Return the length of each step."""
        return self.end - self.start

    def total(self, rows: npt.ArrayLike) -> Floats:
        """Add up, for each step, a number a round."""
        return _sums(self.index, rows, self.end.size)

    def total_spans(self, spans: Spans, values: Floats) -> Floats:
        """Add up, for each step, a number a span; a span belongs to the step it starts in."""
        index = np.searchsorted(self.end, spans.start, side="right")
        last = max(self.end.size - 1, 0)
        return _sums(np.minimum(index, last), values, self.end.size)


def ratios(steps: Steps, spans: Spans) -> Ratios:
    """Return for each ratio metric what is summed above and below its line, a number a step."""
    return _by_round(steps) | _by_lane(steps, spans) | _by_token(steps, spans)


def _by_round(steps: Steps) -> Ratios:
    rounds = steps.rounds
    known, hit = ~np.isnan(rounds.hit), rounds.hit > 0
    tokens, miss = rounds.accepted + 1, known & ~hit
    rows, duration = steps.total(np.ones(len(tokens))), rounds.end - rounds.start
    return {
        "tokens_per_s": (steps.total(tokens), steps.seconds),
        "step_seconds": (steps.total(duration) / rows, np.ones(len(rows))),
        "acceptance_length": (steps.total(tokens), rows),
        "hit_rate": (steps.total(hit), steps.total(known)),
        "acceptance_length_on_hit": (steps.total(tokens * hit), steps.total(hit)),
        "acceptance_length_on_miss": (steps.total(tokens * miss), steps.total(miss)),
    }


def _by_lane(steps: Steps, spans: Spans) -> Ratios:
    lanes = set(spans.lane)
    parties = {
        f"{party}_busy": {lane for lane in lanes if lane.startswith(party)}
        for party in ("draft", "target")
    }
    busy = {name: _busy_share(steps, spans, own) for name, own in parties.items()}
    working, seconds = _busy_share(steps, spans, lanes)
    # Sums of the same spans in another order differ in their last bits: that is no idle time.
    idle = np.where(np.isclose(working, seconds, rtol=1e-9, atol=0), 0.0, seconds - working)
    return {**busy, "idle": (idle, seconds)}


def _busy_share(steps: Steps, spans: Spans, lanes: set[str]) -> tuple[Floats, Floats]:
    """Return the seconds in which any of these lanes is busy, and all seconds, of each step."""
    busy = Busy.of(spans, lanes)
    return busy.until(steps.end) - busy.until(steps.start), steps.seconds


def _by_token(steps: Steps, spans: Spans) -> Ratios:
    return {
        f"wasted_{party}_token_fraction": _unused(steps, spans.where(chosen))
        for party, chosen in (("draft", spans.drafting), ("target", spans.verifying))
    }


def _unused(steps: Steps, spans: Spans) -> tuple[Floats, Floats]:
    """Return computed tokens that no output used, and all computed ones, of each step."""
    unused = steps.total_spans(spans, spans.tokens - spans.used)
    return unused, steps.total_spans(spans, spans.tokens)


@dataclass(frozen=True)
class Busy:
    """Seconds with at least one span under way, as a function of time: linear between `times`."""

    times: Floats
    seconds: Floats

    @classmethod
    def of(cls, spans: Spans, lanes: set[str]) -> "Busy":
        """Add up the times of these lanes' spans; waiting and messages are no work."""
        chosen = spans.working & among(spans.lane, lanes)
        return cls.over(spans.start[chosen], spans.end[chosen])

    @classmethod
    def over(cls, start: Floats, end: Floats) -> "Busy":
        """Add up the times that these intervals cover, however often."""
        edges = np.stack(_union(start, end), axis=1)
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


def wasted_seconds(spans: Spans) -> Floats:
    """Return each span's duration times its unused share; all of it if it made no token."""
    used = spans.used / np.maximum(spans.tokens, 1)
    return (spans.end - spans.start) * (1 - used)


def _sums(index: Ints, values: npt.ArrayLike, size: int) -> Floats:
    """Add up the values that share an index, in floats however short the run."""
    return np.asarray(np.bincount(index, values, minlength=size), dtype=np.float64)
