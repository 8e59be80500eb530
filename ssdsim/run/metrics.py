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

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from ssdsim.run.columns import Floats, Rounds, Spans
from ssdsim.run.decoding_steps import Busy, Ints, Ratios, Steps, ratios, wasted_seconds
from ssdsim.run.token_gaps import TokenGaps

SPEEDUPS = ("speedup_over_ar", "speedup_over_sd", "speedup_over_same_devices")
"""Metrics that compare two runs; null until they are compared."""

BLOCKS = 32


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
    return _tally(tables, devices).metrics()


def confidence(tables: Mapping[str, pa.Table]) -> dict[str, float]:
    """Return the 95 % half-width of each ratio metric, by batch means.

    Returns
    -------
    dict
        By metric name, in the metric's own unit. A metric without a value is left out, and so is
        every one of a run with fewer than 4 steps.

    """
    return _tally(tables, ()).confidence()


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


def _tally(tables: Mapping[str, pa.Table], devices: Sequence[Mapping[str, Any]]) -> "Tally":
    """Return the sums of a whole run."""
    sums = Tally(devices)
    sums.add(Rounds.of(tables["rounds"]), Spans.of(tables["spans"]))
    return sums


class Tally:
    """The sums that the metrics of a run are made of, added up a stretch of time after another.

    Attributes
    ----------
    devices
        As `ssdsim.run.trace.Run` describes them.
    most
        Of each stretch at most so many sums of neighbouring steps are kept, equal in steps; the
        blocks of batch means are then made of those. None: every step is kept.

    """

    def __init__(self, devices: Sequence[Mapping[str, Any]], most: int | None = None) -> None:
        self.devices, self.most = devices, most
        self.until = -np.inf
        self.rounds: Rounds | None = None
        self.spans: Spans | None = None
        self.counts: list[Ints] = []
        self.sums: dict[str, list[tuple[Floats, Floats]]] = {}
        self.working: set[str] = set()
        self.busy = [0.0] * len(devices)
        self.gaps = TokenGaps()
        self.tokens, self.wasted, self.decoded, self.ended = 0, 0.0, 0.0, 0.0

    def add(self, rounds: Rounds, spans: Spans, horizon: float = np.inf) -> None:
        """Take up more rounds and spans, neither of which changes any more.

        What ends after `horizon`, the earliest start of all that is still to come, is kept until
        it is known what else happens then.
        """
        self._count(rounds, spans)
        self.gaps.add(rounds)
        rounds = rounds if self.rounds is None else self.rounds.with_later(rounds)
        spans = spans if self.spans is None else self.spans.with_later(spans)
        steps = Steps(rounds, self.until)
        # The last step takes up what happens after it, so it must be the run's last.
        known = steps.end.size if horizon == np.inf else _known(steps.end, horizon)
        until = horizon if horizon == np.inf else steps.end[known - 1] if known else self.until
        for at, device in enumerate(self.devices):
            busy = Busy.of(spans, set(device["lanes"]))
            self.busy[at] += busy.seconds_until(until)
        self._add_up({n: (a[:known], b[:known]) for n, (a, b) in ratios(steps, spans).items()})
        self.rounds = rounds.where(rounds.end > until)
        self.spans, self.until = _rest(spans, until), until

    def metrics(self) -> dict[str, Any]:
        """Return the metrics of `run.json` that follow from one run alone; see `measure`."""
        ratios = {
            name: _quotient(above.sum(), below.sum()) for name, (above, below) in self._ratios()
        }
        speed, count = ratios["tokens_per_s"], sum(device["count"] for device in self.devices)
        return {
            "tokens": self.tokens,
            "seconds": float(sum(below.sum() for _, below in self.sums["tokens_per_s"])),
            **ratios,
            "tokens_per_s_e2e": _quotient(self.tokens, self.decoded),
            "tokens_per_s_per_device": None if speed is None else _quotient(speed, count),
            "wasted_draft_seconds": self.wasted,
            "energy_j": self._energy(),
            **self.gaps.found.summary("itl"),
        }

    def confidence(self) -> dict[str, float]:
        """Return the 95 % half-width of each ratio metric; see `confidence`."""
        counts = np.concatenate(self.counts)
        if counts.sum() < 4:
            return {}
        first = _blocks(counts)
        return {
            name: _half_width(above, below, first)
            for name, (above, below) in self._ratios()
            if below.any()
        }

    def _count(self, rounds: Rounds, spans: Spans) -> None:
        """Count what needs no steps."""
        ends = [float(columns.end.max(initial=0.0)) for columns in (rounds, spans)]
        self.decoded, self.ended = max(self.decoded, ends[0]), max(self.ended, *ends)
        self.tokens += int(rounds.accepted.sum()) + len(rounds)
        self.wasted += float(wasted_seconds(spans.where(spans.drafting)).sum())
        lanes = set(spans.lane)
        self.working |= {party for party in LANES if any(map(LANES[party], lanes))}

    def _add_up(self, ratios: Ratios) -> None:
        size = len(ratios["tokens_per_s"][0])
        each = 1 if self.most is None else -(-size // self.most)
        first = np.arange(0, size, max(1, each))
        self.counts.append(np.diff(np.append(first, size)))
        for name, (above, below) in ratios.items():
            pair = (above, below)
            if each > 1:
                pair = np.add.reduceat(above, first), np.add.reduceat(below, first)
            self.sums.setdefault(name, []).append(pair)

    def _ratios(self) -> Iterator[tuple[str, tuple[Floats, Floats]]]:
        """Yield what is summed above and below each ratio's line, if there is such a lane."""
        for name, parts in self.sums.items():
            above, below = (np.concatenate(column) for column in zip(*parts, strict=True))
            worked = name not in LANES or name in self.working
            yield name, (above, below * worked)

    def _energy(self) -> float | None:
        """Return the joules of all devices from time 0 to the last end, None without watts."""
        watts = [
            device.get(name) for device in self.devices for name in ("busy_watts", "idle_watts")
        ]
        if not watts or None in watts:
            return None
        return float(
            sum(
                device["count"]
                * (device["busy_watts"] * busy + device["idle_watts"] * (self.ended - busy))
                for device, busy in zip(self.devices, self.busy, strict=True)
            )
        )


LANES: dict[str, Callable[[str], bool]] = {
    "draft_busy": lambda lane: lane.startswith("draft"),
    "target_busy": lambda lane: lane.startswith("target"),
    "idle": bool,
}
"""Metrics that have a value only if there is such a lane."""


def _known(end: Floats, horizon: float) -> int:
    """Return how many steps are over before anything that is still to come begins, but the last."""
    return max(0, min(int(np.searchsorted(end, horizon, side="right")), end.size - 1))


def _rest(spans: Spans, until: float) -> Spans:
    """Return the spans that go on after a time, from then on; their tokens have been counted."""
    spans = spans.where((spans.end > until) | (spans.start >= until))
    new = spans.start >= until
    start = np.maximum(spans.start, until)
    return replace(spans, start=start, tokens=spans.tokens * new, used=spans.used * new)


def _blocks(counts: Ints) -> Ints:
    """Return where each of some 32 blocks begins, equal in steps; `counts` are those of a sum."""
    steps = int(counts.sum())
    blocks = min(BLOCKS, steps // 2)
    wanted = np.arange(blocks) * steps // blocks
    return np.unique(np.searchsorted(np.cumsum(counts) - counts, wanted).clip(max=len(counts) - 1))


def half_width(above: Floats, below: Floats) -> float:
    """Return the 95 % half-width of sum(above) / sum(below) by batch means, 4 summands at least."""
    return _half_width(above, below, _blocks(np.ones(len(above), np.int64)))


def _half_width(above: Floats, below: Floats, first: Ints) -> float:
    """Return the 95 % half-width of sum(above) / sum(below) from blocks that begin at `first`."""
    from scipy.special import stdtrit

    blocks = len(first)
    a, b = np.add.reduceat(above, first), np.add.reduceat(below, first)
    residual = a - a.sum() / b.sum() * b
    error = np.sqrt(blocks / (blocks - 1) * np.square(residual).sum()) / b.sum()
    return float(stdtrit(blocks - 1, 0.975) * error)


def _quotient(above: float, below: float) -> float | None:
    return float(above / below) if below else None
