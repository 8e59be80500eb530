"""The share of a round in which no model works, computed from a run's spans."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import mean, median

from ssdreal.bench.contenders import Measured, Piece


@dataclass(frozen=True)
class Coordination:
    """Shares of a round, 0 to 1: of all rounds' time, and the median round's.

    Attributes
    ----------
    gaps, median_gaps
        In which no worker works on anything: messages, and what happens between them. Waiting for
        a tree is no gap.
    outside, median_outside
        These gaps, and what workers on the round's critical path do between model passes.
    seconds
        A mean round.

    """

    gaps: float
    median_gaps: float
    outside: float
    median_outside: float
    seconds: float


def coordination(runs: Sequence[Measured]) -> Coordination:
    """Return the shares over all rounds of some runs of one contender (batch 1)."""
    found = [shares for measured in runs for shares in _rounds(measured)]
    seconds, gaps, outside = zip(*found, strict=True)
    whole = sum(seconds)
    return Coordination(
        gaps=sum(gaps) / whole,
        median_gaps=median(g / s for g, s in zip(gaps, seconds, strict=True)),
        outside=sum(outside) / whole,
        median_outside=median(o / s for o, s in zip(outside, seconds, strict=True)),
        seconds=mean(seconds),
    )


def _rounds(measured: Measured) -> list[tuple[float, float, float]]:
    """Return (seconds, seconds in gaps, seconds outside passes) of every round."""
    pieces = sorted(measured.pieces, key=lambda piece: piece.start)
    table = measured.run.tables["rounds"]
    times = zip(table["start"].to_pylist(), table["end"].to_pylist(), strict=True)
    found, at = [], 0
    for start, end in times:
        while pieces[at].end <= start:
            at += 1
        inside = [p for p in pieces[at : at + 8] if p.start < end and p.end > start]
        found.append(_shares(inside, start, end))
    return found


def _shares(pieces: Sequence[Piece], start: float, end: float) -> tuple[float, float, float]:
    """Return a round's seconds, those in gaps, and those outside passes of the models.

    The critical path goes through the verify while there is one, else through the draft's work.
    """
    cuts = sorted(
        {start, end, *(min(max(t, start), end) for p in pieces for t in (p.start, p.end))}
    )
    gaps = outside = 0.0
    for left, right in pairwise(cuts):
        busy = [p for p in pieces if p.start <= left and p.end >= right]
        leading = next((p for p in busy if p.lane == "target"), busy[0] if busy else None)
        if leading is None:
            gaps += right - left
        else:
            outside += (right - left) * (1 - leading.passes / leading.seconds)
    return end - start, gaps, gaps + outside
