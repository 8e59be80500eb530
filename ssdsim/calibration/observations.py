"""What calibration runs say of the unknown seconds: linear equations, one a cell.

The model. A verify of b rows and n tokens takes v(b, n), and a little more for every token that its
rows have in their caches. A chain of K tokens takes K steps
and a fixed part; a tree of depth D the pass that finds candidates, a message (the candidates are
the policy's to choose from), and D steps over its branches. Where tokens are drawn rather than the
best ones taken, every pass takes longer by a fixed part and by a part for each distribution. So
the median seconds of a cell are a sum of unknowns with known factors.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from statistics import median

import numpy as np

from ssdsim.calibration.timings import Timing, cells

Factors = Mapping[str, float]


@dataclass(frozen=True)
class Observation:
    """An equation: `seconds` ≈ Σ factor × unknown.

    Attributes
    ----------
    visit, lane
        Run and lane that it is of. The lane of a message is "link" and that of a target over two
        devices "target*2": what the machine is like in a run is told by neither.
    seconds
        Median over the cell's pieces beside which nobody worked.
    factors
        By the unknown's name.

    """

    visit: int
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
    return [
        Observation(
            piece.visit,
            piece.lane,
            piece.seconds - piece.shared * (1 - 1 / slowdown[piece.lane]),
            {f"{_model(piece)}.prefill": 1.0, f"{_model(piece)}.prefill_token": piece.tokens},
        )
        for piece in pieces
        if piece.kind == "prefill"
    ]


def sharings(pieces: Sequence[Timing]) -> list[Sharing]:
    """Return how much slower work ran in each visit while the other model was busy."""
    ratios: dict[tuple[int, str], list[float]] = {}
    for found in cells(pieces).values():
        alone = _alone(found)
        if found[0].kind in ("verify", "prespeculate") and alone:
            work = median(piece.seconds for piece in alone)
            at = (found[0].visit, found[0].lane)
            ratios.setdefault(at, []).extend(_ratios(found, work))
    return [Sharing(visit, lane, median(of)) for (visit, lane), of in ratios.items() if of]


def _ratios(pieces: Sequence[Timing], work: float) -> list[float]:
    """Return shared seconds over what was done in them: the work less what was done alone."""
    done = [(piece.shared, work - (piece.seconds - piece.shared)) for piece in pieces]
    return [shared / of for shared, of in done if shared > 0.2 * work and of > 0]


def _alone(pieces: Sequence[Timing]) -> list[Timing]:
    return [piece for piece in pieces if piece.shared <= 1e-9]


def _observation(pieces: Sequence[Timing]) -> Observation:
    piece, context = pieces[0], float(np.mean([piece.context for piece in pieces]))
    factors: defaultdict[str, float] = defaultdict(float, _fixed(piece))
    for times, surface, size in _passes(piece):
        factors[f"{surface}@{piece.batch}x{size}"] += times
        # The same on more devices: those runs have texts of one length, and could not tell.
        cached = f"{_model(piece).partition('*')[0]}.cached"
        factors[cached] += times * piece.batch * context
        if piece.coupling != "greedy":
            factors[f"{piece.coupling}.{piece.lane}"] += times
            factors[f"{piece.coupling}.{piece.lane}_token"] += times * size
    seconds = median(piece.seconds for piece in pieces)
    lane = piece.lane if piece.devices == 1 else f"{piece.lane}*{piece.devices}"
    return Observation(piece.visit, lane, seconds, factors)


def _passes(piece: Timing) -> list[tuple[int, str, int]]:
    """Return the passes in a piece: how many, of which surface, over how many tokens."""
    model = _model(piece)
    if piece.kind == "verify":
        return [(1, f"{model}.verify", piece.tokens)]
    if piece.kind == "speculate":
        return [(piece.lookahead, f"{model}.step", piece.batch)]
    return [
        (1, f"{model}.glue", piece.tokens),
        (piece.lookahead, f"{model}.tree", piece.branches),
    ]


def _fixed(piece: Timing) -> Factors:
    """Return what a piece takes besides its passes."""
    if piece.kind == "speculate":
        return {f"{_model(piece)}.fill": 1.0}
    return {"dispatch": 1.0} if piece.kind == "prespeculate" else {}


def _model(piece: Timing) -> str:
    """Name the model and where it runs: "target*2" is the target over two devices."""
    name = "target" if piece.lane == "target" else "draft" if piece.own else "colocated"
    return name if piece.devices == 1 else f"{name}*{piece.devices}"


def _messages(pieces: Sequence[Timing]) -> list[Observation]:
    """Return the median gap of every visit."""
    gaps: dict[int, list[float]] = {}
    for piece in pieces:
        if not isnan(piece.gap) and piece.devices == 1:
            gaps.setdefault(piece.visit, []).append(piece.gap)
    return [Observation(visit, "link", median(of), {"dispatch": 1.0}) for visit, of in gaps.items()]
