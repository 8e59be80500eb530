"""A contender's service times on this machine, from what the workers did in calibration runs.

Every figure is a mean over pieces of work; nothing is fitted to the tokens/s that are predicted
from it. Between two pieces on a round's critical path lies a message to the bench's process, what
it decides there, and a message to a worker.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from statistics import mean, median

import numpy as np

from ssdreal.benching.stand import Piece

SETTLES = frozenset({("verify", "verify"), ("verify", "speculate"), ("tree", "speculate")})
HOPS = frozenset({("speculate", "verify"), ("verify", "glue")})


@dataclass(frozen=True)
class Figures:
    """Seconds of each piece of work, the other core idle, unless said otherwise.

    Attributes
    ----------
    verify, verify_spread
        A verify, and the standard deviation of its logarithm.
    step
        A draft step: a chain's seconds over its length.
    settle, hop
        Between a round's last piece and the next one's first, and between two of one round.
    glue, tree, tree_spread
        The pass that finds candidates, a step of the tree, and the spread of both together.
    turn
        Between glue and tree: messages, and the policy's prediction.
    target_slowdown, draft_slowdown
        How much slower each works while the other does.

    """

    verify: float
    verify_spread: float
    settle: float
    hop: float = 0.0
    step: float = 0.0
    glue: float = 0.0
    tree: float = 0.0
    tree_spread: float = 0.0
    turn: float = 0.0
    target_slowdown: float = 1.0
    draft_slowdown: float = 1.0


def figures(runs: Iterable[Sequence[Piece]], lookahead: int) -> Figures:
    """Return the figures of calibration runs.

    Parameters
    ----------
    runs
        The pieces of each: of AR, of SD, or of a `Probe`.
    lookahead
        K, 0 for AR.

    """
    parts = [_Part(run) for run in runs]
    verify = [piece.seconds for part in parts for piece in part.alone("verify")]
    known = {
        "verify": mean(verify),
        "verify_spread": _spread(verify),
        "settle": mean(gap for part in parts for gap in part.gaps(SETTLES)),
    }
    chains = [piece.seconds for part in parts for piece in part.alone("speculate")]
    if chains:
        known["step"] = mean(chains) / lookahead
        known["hop"] = mean(gap for part in parts for gap in part.gaps(HOPS))
    if any(part.of("tree") for part in parts):
        known |= _of_trees(parts, lookahead)
    return Figures(**known)


class _Part:
    """The pieces of one run, each with the seconds in which the other worker works too."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self.everything = sorted(pieces, key=lambda p: p.start)
        self.pieces = [piece for piece in self.everything if piece.kind != "other"]
        self.shared = {
            piece: sum(
                _overlap(piece, other) for other in self._near(at) if other.lane != piece.lane
            )
            for at, piece in enumerate(self.pieces)
        }

    def of(self, *kinds: str) -> list[Piece]:
        """Return the pieces of these kinds."""
        return [piece for piece in self.pieces if piece.kind in kinds]

    def alone(self, kind: str) -> list[Piece]:
        """Return the pieces of a kind beside which the other worker was idle."""
        return [piece for piece in self.of(kind) if not self.shared[piece]]

    def together(self, *kinds: str) -> list[Piece]:
        """Return those beside which it was busy for a while."""
        return [piece for piece in self.of(*kinds) if self.shared[piece]]

    def gaps(self, between: frozenset[tuple[str, str]]) -> list[float]:
        """Return the gaps between pieces of these kinds in which nobody works.

        Where a prefill lies between them there is no gap, but a new text.
        """
        ends = accumulate(self.everything, _later)
        return [
            after.start - before.end
            for before, after in zip(ends, self.everything[1:], strict=False)
            if (before.kind, after.kind) in between and before.end <= after.start
        ]

    def turns(self) -> list[float]:
        """Return the gaps between glue and tree."""
        return [
            after.start - before.end
            for before, after in pairwise(self.of("glue", "tree"))
            if before.kind == "glue"
        ]

    def _near(self, at: int) -> list[Piece]:
        return self.pieces[max(at - 4, 0) : at + 5]


def _of_trees(parts: Sequence[_Part], lookahead: int) -> dict[str, float]:
    """Return the figures of trees and of both workers at once."""
    glue = mean(piece.seconds for part in parts for piece in part.alone("glue"))
    trees = [piece.seconds for part in parts for piece in part.alone("tree")]
    works = {
        kind: median(piece.seconds for part in parts for piece in part.alone(kind))
        for kind in ("verify", "glue", "tree")
    }

    def slowed(*kinds: str) -> float:
        return slowdown(
            [
                (p.seconds, part.shared[p], works[p.kind])
                for part in parts
                for p in part.together(*kinds)
            ]
        )

    return {
        "glue": glue,
        "tree": mean(trees) / lookahead,
        "tree_spread": _spread(trees),
        "turn": mean(gap for part in parts for gap in part.turns()),
        "target_slowdown": slowed("verify"),
        "draft_slowdown": slowed("glue", "tree"),
    }


def slowdown(pieces: Sequence[tuple[float, float, float]]) -> float:
    """Return how much slower work runs while the other worker is busy: at least 1.

    While the other is idle a second does a second's work, else 1 / s of one. So what was done in
    the shared seconds is the work less the seconds alone, and s the one over the other; the median
    over pieces, since a piece that something else held up says nothing about sharing.

    Parameters
    ----------
    pieces
        For each (seconds, shared seconds, seconds that it takes alone).

    """
    done = [(part, work - (seconds - part)) for seconds, part, work in pieces]
    factors = [part / work for part, work in done if part > 0 and work > 0]
    return max(1.0, median(factors)) if factors else 1.0


def _later(one: Piece, other: Piece) -> Piece:
    """Return which of two ends last."""
    return one if one.end > other.end else other


def _overlap(piece: Piece, other: Piece) -> float:
    return max(0.0, min(piece.end, other.end) - max(piece.start, other.start))


def _spread(seconds: Sequence[float]) -> float:
    """Return the standard deviation of the logarithm, from quartiles: outliers are no noise."""
    low, high = np.quantile(np.log(seconds), [0.25, 0.75])
    return float(high - low) / 1.349
