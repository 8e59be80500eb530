"""One round of `ssd` with deterministic times: probabilities of its endings, and its seconds."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from ssdsim.errors import require
from ssdsim.theory.markov import Array

OnOutcome = Literal["wait", "prune", "truncate"]
Redraft = Literal["missing", "all"]

# A piece of draft work that ends within this share of a step after the verify ends with it.
SAME_TIME = 1e-9
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
        P(rank of the bonus token >= F) as a function of F; non-increasing, 1 at F = 0. The rank
        is independent of the accepted length.
    reference_fanout
        The next place is easy when the bonus token's rank is below this, else hard.

    """

    reject: tuple[Sequence[float], Sequence[float]]
    tail: tuple[Callable[[int], float], Callable[[int], float]]
    reference_fanout: int = 1

    def __post_init__(self) -> None:
        for hazards, tail in zip(self.reject, self.tail, strict=True):
            shares = len(hazards) > 0 and all(0 <= hazard <= 1 for hazard in hazards)
            require(shares, "reject", self.reject, "must be probabilities, one or more each")
            require(abs(tail(0) - 1) < TOLERANCE, "tail(0)", tail(0), "must be 1")
        reference = self.reference_fanout
        require(reference >= 0, "reference_fanout", reference, "must be 0 or more")


@dataclass(frozen=True)
class Times:
    """Seconds of each piece of work; `tokens` and `branches` count all rows together.

    Attributes
    ----------
    handshake
        What every round spends on messages.
    verify, glue
        Of (rows, tokens): the target's pass, and the draft's pass that predicts outcomes.
    tree
        Of (rows, branches): one draft step over that many branches. Once losing branches have
        dropped, rows = branches = the rows that hit.
    backup
        Of (rows, length): the redraft of that many rows, each by `length` tokens.

    """

    handshake: float
    verify: Callable[[int, int], float]
    glue: Callable[[int, int], float]
    tree: Callable[[int, int], float]
    backup: Callable[[int, int], float]


@dataclass(frozen=True)
class Design:
    """A configuration of `ssd`.

    Attributes
    ----------
    law, times
        Acceptance and time.
    lookahead
        K, tokens of a full speculation.
    fanouts
        F_0..F_n for a speculation of n tokens (n < K only with `truncate`).
    batch
        Rows in lock-step.
    on_outcome
        What the draft does when the verify ends before its tree: `wait` finishes the tree,
        `prune` finishes the speculations of the rows that hit, `truncate` hands over what is
        drafted, at least a token. A piece of work in flight is always finished.
    redraft
        On a miss the backup redrafts the `missing` rows, or `all`.
    backup_accepts
        Whether the backup's speculations follow `law` (the same draft, just in time) or are never
        accepted (random tokens).

    """

    law: Law
    times: Times
    lookahead: int
    fanouts: Callable[[int], Sequence[int]]
    batch: int = 1
    on_outcome: OnOutcome = "wait"
    redraft: Redraft = "missing"
    backup_accepts: bool = True

    def __post_init__(self) -> None:
        require(self.lookahead >= 0, "lookahead", self.lookahead, "must be 0 or more")
        require(self.batch >= 1, "batch", self.batch, "must be 1 or more")
        covered = self.batch == 1 or self.on_outcome != "truncate"
        require(covered, "on_outcome", self.on_outcome, "is not covered for a batch over 1")
        fanouts = self.fanouts(self.lookahead)
        fits = len(fanouts) == self.lookahead + 1 and min(fanouts) >= 0
        require(fits, "fanouts", fanouts, f"must be {self.lookahead + 1} numbers, 0 or more")


class RowState(NamedTuple):
    """The state of a row: its place, and the speculation under verification."""

    hard: int
    length: int
    hit: bool


def accepted(design: Design, row: RowState) -> Array:
    """Return P(k tokens are accepted), k = 0..length."""
    reject = design.law.reject[row.hard] if row.hit or design.backup_accepts else (1.0,)
    hazards = np.array([reject[min(j, len(reject) - 1)] for j in range(row.length)])
    shares: Array = np.append(1.0, np.cumprod(1 - hazards)) * np.append(hazards, 1.0)
    return shares


def mean_tokens(design: Design, row: RowState) -> float:
    """Return the mean tokens of a row's round."""
    return 1.0 + float(accepted(design, row) @ np.arange(row.length + 1))


def outcome_table(design: Design, row: RowState) -> Array:
    """Return P(next place is hard, hit) as a 2 by 2 table.

    A rank is easy below the reference R and a hit below the fan-out F: the lesser and the
    greater of the two cut the tail into both, one of them, and nneither.
    """
    tail, R = design.law.tail[row.hard], design.law.reference_fanout

    def cells(F: int) -> list[float]:
        neither = tail(max(F, R))
        return [tail(F) - neither, 1 - tail(min(F, R)), neither, tail(R) - neither]

    each = np.array([cells(F) for F in design.fanouts(row.length)])
    require(bool(np.all(each > -TOLERANCE)), "tail", each.min(), "must not rise")
    table: Array = (accepted(design, row) @ each.clip(0)).reshape(2, 2)
    return table


def redraft_seconds(design: Design, missed: int) -> float:
    """Return the backup's seconds after `missed` rows missed."""
    rows = design.batch if design.redraft == "all" else missed
    return design.times.backup(rows, design.lookahead) if missed else 0.0


def draft_work(design: Design, length: int, hits: int) -> tuple[float, int]:
    """Return seconds from the verify's start until the draft is free, and tokens a hit gets.

    Parameters
    ----------
    design
        The configuration.
    length
        Tokens under verification.
    hits
        Rows whose outcome had been predicted.

    """
    rows, tokens, K = design.batch, design.batch * (length + 1), design.lookahead
    branches = rows * sum(design.fanouts(length))
    verify = design.times.verify(rows, tokens)
    if not branches:
        return verify, K
    glue, step = design.times.glue(rows, tokens), design.times.tree(rows, branches)
    if design.on_outcome == "wait" or glue + K * step <= verify:
        return max(verify, glue + K * step), K
    done = math.ceil((verify - glue) / step - SAME_TIME) if verify > glue else 0
    if hits and design.on_outcome == "truncate":
        done = min(K, max(1, done))
        return max(verify, glue + done * step), done
    rest = (K - done) * design.times.tree(hits, hits) if hits else 0.0
    return max(verify, glue + done * step) + rest, K
