"""One round of `ssd` where positions are alike: probabilities of its endings."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from ssdsim.errors import require
from ssdsim.theory.markov import Array
from ssdsim.theory.round_seconds import Design

# How far a tail may rise, or start from 1, by rounding.
TOLERANCE = 1e-9


@dataclass(frozen=True)
class Law:
    """How rounds end, at easy (index 0) and at hard (index 1) places; a text begins easy.

    Attributes
    ----------
    reject
        P(rejected at draft position j | accepted before it); the last value holds beyond the end.
    tail
        P(rank of the bonus token >= F) as a function of F; non-increasing, 1 at F = 0. Unless
        `whole` says otherwise the rank is independent of the accepted length.
    reference_fanout
        The next place is easy when the bonus token's rank is below this, else hard.
    whole
        P(rank >= F) after all of n drafts were accepted, as a function of (n, F); None: as `tail`
        of an easy and a hard place, after any number of accepted drafts.
    backup_accepts
        Whether the backup's speculations end like this too (the same draft, just in time) or are
        never accepted (random tokens).

    """

    reject: tuple[Sequence[float], Sequence[float]]
    tail: tuple[Callable[[int], float], Callable[[int], float]]
    reference_fanout: int = 1
    backup_accepts: bool = True
    whole: Callable[[int, int], float] | None = None

    def __post_init__(self) -> None:
        for hazards, tail in zip(self.reject, self.tail, strict=True):
            shares = len(hazards) > 0 and all(0 <= hazard <= 1 for hazard in hazards)
            require(shares, "reject", self.reject, "must be probabilities, one or more each")
            require(abs(tail(0) - 1) < TOLERANCE, "tail(0)", tail(0), "must be 1")
        reference = self.reference_fanout
        require(reference >= 0, "reference_fanout", reference, "must be 0 or more")


class RowState(NamedTuple):
    """The state of a row: its place, and the speculation under verification."""

    hard: int
    length: int
    hit: bool


def accepted(law: Law, row: RowState) -> Array:
    """Return P(k tokens are accepted), k = 0..length."""
    reject = law.reject[row.hard] if row.hit or law.backup_accepts else (1.0,)
    hazards = np.array([reject[min(j, len(reject) - 1)] for j in range(row.length)])
    shares: Array = np.append(1.0, np.cumprod(1 - hazards)) * np.append(hazards, 1.0)
    return shares


def mean_tokens(law: Law, row: RowState) -> float:
    """Return the mean tokens of a row's round."""
    return 1.0 + float(accepted(law, row) @ np.arange(row.length + 1))


def tail_after(law: Law, row: RowState, k: int) -> Callable[[int], float]:
    """Return P(rank >= F) of the bonus token after k accepted tokens."""
    if law.whole is not None and k == row.length:
        return partial(law.whole, row.length)
    return law.tail[row.hard]


def outcome_table(design: Design[Law], row: RowState) -> Array:
    """Return P(next place is hard, hit) as a 2 by 2 table.

    A rank is easy below the reference R and a hit below the fan-out F: the lesser and the
    greater of the two cut the tail into both, one of them, and neither.
    """
    law, R = design.law, design.law.reference_fanout

    def cells(tail: Callable[[int], float], F: int) -> list[float]:
        neither = tail(max(F, R))
        return [tail(F) - neither, 1 - tail(min(F, R)), neither, tail(R) - neither]

    fanouts = enumerate(design.fanouts(row.length))
    each = np.array([cells(tail_after(law, row, k), F) for k, F in fanouts])
    require(bool(np.all(each > -TOLERANCE)), "tail", each.min(), "must not rise")
    table: Array = (accepted(law, row) @ each.clip(0)).reshape(2, 2)
    return table
