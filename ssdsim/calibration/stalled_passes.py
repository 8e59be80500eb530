"""Finds runs that something else on the machine held up: passes far slower than their like."""

from collections.abc import Sequence
from statistics import median

from ssdsim.calibration.timings import Timing, cells

STALLED = 2.0
"""So many times as long as its like a pass takes that was held up."""

LOST = 0.05
"""Share of a run's seconds that is worth a word."""


def lost(pieces: Sequence[Timing]) -> float:
    """Return the share of the seconds of a run's pieces that was lost in stalled passes."""
    excess = total = 0.0
    for like in cells(pieces).values():
        usual = median(piece.seconds for piece in like)
        total += sum(piece.seconds for piece in like)
        slow = [piece.seconds for piece in like if piece.seconds > STALLED * usual]
        excess += sum(slow) - usual * len(slow)
    return excess / total if total else 0.0


def stalled(pieces: Sequence[Timing]) -> dict[str, float]:
    """Return the runs that lost much to stalled passes ("SITTING.VISIT"), and how much."""
    runs: dict[tuple[int, int], list[Timing]] = {}
    for piece in pieces:
        if piece.kind != "prefill":
            runs.setdefault((piece.sitting, piece.visit), []).append(piece)
    shares = {f"{sitting}.{visit}": lost(of) for (sitting, visit), of in sorted(runs.items())}
    return {name: share for name, share in shares.items() if share > LOST}
