"""Turns the timings of calibration runs into linear equations for a machine's unknown seconds.

The model. A verify of b rows and n tokens takes v(b, n), and a little more for every token that its
rows have in their caches. A chain of K tokens takes K steps and a fixed part; a tree of depth D the
pass that finds candidates, a message (the candidates are the policy's to choose from), and D steps
over its branches. Where tokens are drawn rather than the best ones taken, every pass takes longer
by a fixed part and by a part for each distribution. Where the target speaks on the way a verify
takes its head once more, and what telling takes; it is there after a share of the layers. So the
median seconds of a cell are a sum of unknowns with known factors.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from statistics import fmean, median
from typing import NamedTuple

import numpy as np

from ssdsim.calibration.timings import Timing, cells


class Unknown(NamedTuple):
    """Seconds that are looked for.

    Attributes
    ----------
    of
        A model: "target", "draft", or "colocated", which is the draft on the target's devices;
        a coupling, for what drawing takes; or "link".
    what
        A pass, with `rows` and `size` (its tokens or branches); or a part of the model: "fill",
        "prefill", "prefill_token", "cached", "dispatch", or a field of `Drawing` or `Speaking` in
        `ssdsim.latency.machine`.
    devices
        That the target is spread over.

    """

    of: str
    what: str
    devices: int = 1
    rows: int = 0
    size: int = 0

    def __str__(self) -> str:
        """Return a name for files."""
        shape = f" {self.rows}x{self.size}" if self.rows else ""
        where = f" on {self.devices}" if self.devices > 1 else ""
        return f"{self.of}.{self.what}{shape}{where}"


Factors = Mapping[Unknown, float]

DISPATCH = Unknown("link", "dispatch")


@dataclass(frozen=True)
class Observation:
    """An equation: `seconds` ≈ Σ factor × unknown.

    Attributes
    ----------
    sitting, visit, devices, lane
        Hour, run, number of devices, and lane that it is of; the lane of a message is "link".
    seconds
        Median over the cell's pieces beside which nobody worked.
    factors
        Of the unknowns.

    """

    sitting: int
    visit: int
    devices: int
    lane: str
    seconds: float
    factors: Factors


@dataclass(frozen=True)
class Sharing:
    """How much slower a model worked in one visit while the other did."""

    visit: int
    lane: str
    slowdown: float


def observations(pieces: Sequence[Timing]) -> list[Observation]:
    """Return the equations of verifies, chains, trees and messages."""
    working = [piece for piece in pieces if piece.kind != "prefill"]
    alone = (_alone(found) for found in cells(working).values())
    return [*(_observation(found) for found in alone if found), *_messages(working)]


def prefills(pieces: Sequence[Timing], slowdown: Mapping[str, float]) -> list[Observation]:
    """Return the equations of prompts: a fixed part, and a part a token.

    Both models read them at once, so that what a prompt takes alone follows from the slowdown.
    """
    found = []
    for piece in pieces:
        seconds = piece.seconds - piece.shared * (1 - 1 / slowdown[piece.lane])
        if piece.kind == "prefill" and seconds > 0:
            fixed, token = _part(piece, "prefill"), _part(piece, "prefill_token")
            factors = {fixed: 1.0, token: float(piece.tokens)}
            where = piece.sitting, piece.visit, piece.devices, piece.lane
            found.append(Observation(*where, seconds, factors))
    return found


def sharings(pieces: Sequence[Timing]) -> list[Sharing]:
    """Return how much slower work ran in each visit while the other model was busy.

    Means, not medians: work that shares memory has more of the late stragglers as well.
    """
    both: dict[tuple[int, str], list[tuple[float, float]]] = {}
    for found in cells(pieces).values():
        alone = _alone(found)
        if found[0].kind in ("verify", "prespeculate") and alone:
            work = fmean(piece.seconds for piece in alone)
            both.setdefault((found[0].visit, found[0].lane), []).extend(_shares(found, work))
    sums = {at: np.sum(of, axis=0) for at, of in both.items() if of}
    return [Sharing(*at, float(shared / done)) for at, (shared, done) in sums.items()]


def _shares(pieces: Sequence[Timing], work: float) -> list[tuple[float, float]]:
    """Return shared seconds, and what was done in them: the work less what was done alone."""
    found = [(piece.shared, work - (piece.seconds - piece.shared)) for piece in pieces]
    return [(shared, done) for shared, done in found if shared > 0.2 * work and done > 0]


def _alone(pieces: Sequence[Timing]) -> list[Timing]:
    return [piece for piece in pieces if piece.shared <= 1e-9]


def _observation(pieces: Sequence[Timing]) -> Observation:
    piece, context = pieces[0], float(np.mean([piece.context for piece in pieces]))
    factors: defaultdict[Unknown, float] = defaultdict(float, _fixed(piece))
    # The same on more devices: those runs have texts of one length, and could not tell.
    cached = Unknown(_model(piece), "cached")
    for times, work, size in _passes(piece):
        factors[Unknown(_model(piece), work, piece.devices, piece.batch, size)] += times
        factors[cached] += times * piece.batch * context
        if piece.coupling != "greedy":
            factors[Unknown(piece.coupling, piece.lane)] += times
            factors[Unknown(piece.coupling, f"{piece.lane}_token")] += times * size
    seconds = median(piece.seconds for piece in pieces)
    where = piece.sitting, piece.visit, piece.devices, piece.lane
    return Observation(*where, seconds, factors)


def _passes(piece: Timing) -> list[tuple[float, str, int]]:
    """Return the passes in a piece: how many, of which kind, over how many tokens."""
    if piece.kind == "verify":
        return [(1, "verify", piece.tokens)]
    if piece.kind == "exit":
        return [(piece.exit, "verify", piece.tokens)]
    if piece.kind == "speculate":
        return [(piece.lookahead, "step", piece.batch)]
    return [(1, "glue", piece.tokens), (piece.lookahead, "tree", piece.branches)]


def _fixed(piece: Timing) -> Factors:
    """Return what a piece takes besides its passes."""
    if piece.kind == "speculate":
        return {_part(piece, "fill"): 1.0}
    if piece.exit and piece.lane == "target":
        # What comes before it is layers alone; its head comes once more at the end.
        heads = 1.0 - piece.exit if piece.kind == "exit" else 1.0
        return {_part(piece, "head"): heads, _part(piece, "view"): 1.0}
    return {DISPATCH: 1.0} if piece.kind == "prespeculate" else {}


def _part(piece: Timing, what: str) -> Unknown:
    return Unknown(_model(piece), what, piece.devices)


def _model(piece: Timing) -> str:
    """Name the model and where it runs."""
    if piece.lane == "target":
        return "target"
    return "draft" if piece.own else "colocated"


def _messages(pieces: Sequence[Timing]) -> list[Observation]:
    """Return the median gap of every visit; threads on more devices delay messages."""
    gaps: dict[tuple[int, int], list[float]] = {}
    for piece in pieces:
        if not isnan(piece.gap) and piece.devices == 1:
            gaps.setdefault((piece.sitting, piece.visit), []).append(piece.gap)
    message = {DISPATCH: 1.0}
    return [Observation(*run, 1, "link", median(of), message) for run, of in gaps.items()]
