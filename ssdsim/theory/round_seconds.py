"""The seconds of a round in which a draft works ahead beside the verify.

Seconds may be arrays: of shape (contexts, target factors, draft factors) where they depend on the
tokens in the caches, or scatter. What is returned is then the mean over the factors.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from ssdsim.errors import require
from ssdsim.theory.markov import Array

OnOutcome = Literal["wait", "prune", "truncate"]
Redraft = Literal["missing", "all"]
Seconds = float | Array
Whole = NDArray[np.int64]
EndsBy = TypeVar("EndsBy")

# A piece of draft work that ends within this share of a step after the verify ends with it.
SAME_TIME = 1e-9


@dataclass(frozen=True)
class Times:
    """Seconds of each piece of work; `tokens` and `branches` count all rows together.

    Attributes
    ----------
    handshake
        What every round spends on messages, before target and draft begin side by side.
    verify, glue
        Of (rows, tokens): the target's pass, and the draft's pass that predicts outcomes.
    tree
        Of (rows, branches): one draft step over that many branches. Once losing branches have
        dropped, rows = branches = the rows that hit.
    backup
        Of (rows, length): the redraft of that many rows, each by `length` tokens; a mean.
    slowdown
        How much slower target and draft run while both are busy.

    """

    handshake: float
    verify: Callable[[int, int], Seconds]
    glue: Callable[[int, int], Seconds]
    tree: Callable[[int, int], Seconds]
    backup: Callable[[int, int], Seconds]
    slowdown: tuple[float, float] = (1.0, 1.0)


@dataclass(frozen=True)
class Design(Generic[EndsBy]):
    """A configuration of `ssd`.

    Attributes
    ----------
    law, times
        How rounds end, and time.
    lookahead
        K, tokens of a full speculation.
    fanouts
        F_0..F_n for a speculation of n tokens.
    batch
        Rows in lock-step.
    on_outcome
        What the draft does when the verify ends before its tree: `wait` finishes the tree,
        `prune` finishes the speculations of the rows that hit, `truncate` hands over what is
        drafted, at least a token. A piece of work in flight is always finished.
    redraft
        On a miss the backup redrafts the `missing` rows, or `all`.

    """

    law: EndsBy
    times: Times
    lookahead: int
    fanouts: Callable[[int], Sequence[int]]
    batch: int = 1
    on_outcome: OnOutcome = "wait"
    redraft: Redraft = "missing"

    def __post_init__(self) -> None:
        require(self.lookahead >= 0, "lookahead", self.lookahead, "must be 0 or more")
        require(self.batch >= 1, "batch", self.batch, "must be 1 or more")
        covered = self.batch == 1 or self.on_outcome != "truncate"
        require(covered, "on_outcome", self.on_outcome, "is not covered for a batch over 1")
        fanouts = self.fanouts(self.lookahead)
        fits = len(fanouts) == self.lookahead + 1 and min(fanouts) >= 0
        require(fits, "fanouts", fanouts, f"must be {self.lookahead + 1} numbers, 0 or more")


class Work(NamedTuple):
    """What target and draft do after the handshake.

    Attributes
    ----------
    verified
        Mean seconds until the verify ends, shape (contexts,).
    free
        Mean seconds until the draft is free as well, by how many rows hit: shape (batch + 1,
        contexts).
    kept
        Tokens that a hit gets, shape (contexts,).

    """

    verified: Array
    free: Array
    kept: Whole


class _Beside(NamedTuple):
    """Two pieces of work that begin together: when each ends, and what is done by then."""

    verified: Array
    drafted: Array
    done: Array
    "What the draft has done of its own when the verify ends, in seconds of running alone."


def beside(verify: Seconds, draft: Seconds, slowdown: tuple[float, float]) -> _Beside:
    """Let a verify and a draft's work begin together, each slower while both are under way."""
    verify, draft = np.asarray(verify, float), np.asarray(draft, float)
    target_slow, draft_slow = slowdown
    # Whichever is over first: each is the less of what it is if the other is, and if it is itself.
    slowed, own = verify * target_slow, draft * draft_slow
    verified = np.minimum(slowed, verify + own * (1 - 1 / target_slow))
    drafted = np.minimum(own, draft + slowed * (1 - 1 / draft_slow))
    done = np.minimum(draft, slowed / draft_slow)
    return _Beside(verified, drafted, done)


def draft_work(design: Design[Any], length: int) -> Work:
    """Return what a round takes that verifies `length` tokens a row."""
    times, rows, K = design.times, design.batch, design.lookahead
    tokens = rows * (length + 1)
    branches = rows * sum(design.fanouts(length))
    verify = times.verify(rows, tokens)
    if not branches:
        return _work(verify, verify, K, rows)
    glue, step = times.glue(rows, tokens), times.tree(rows, branches)
    both = beside(verify, glue + K * step, times.slowdown)
    if design.on_outcome == "wait":
        return _work(both.verified, np.maximum(both.verified, both.drafted), K, rows)
    begun = _steps_begun(both, np.asarray(glue), np.asarray(step), K)
    ends = _stopped(both, glue, step, begun)
    if design.on_outcome == "truncate":
        kept = np.minimum(np.maximum(begun, 1), K)
        return _work(both.verified, np.stack([ends, _stopped(both, glue, step, kept)]), kept, rows)
    left = K - begun
    if not left.any():
        return _work(both.verified, ends, K, rows)
    rest = np.array([0 * np.asarray(step), *(times.tree(hit, hit) for hit in range(1, rows + 1))])
    return _work(both.verified, ends + left * rest, K, rows)


def redraft_seconds(design: Design[Any]) -> Array:
    """Return the backup's mean seconds, by how many rows missed: shape (batch + 1, contexts)."""
    rows, backup, K = design.batch, design.times.backup, design.lookahead
    if design.redraft == "all":
        each = [backup(rows, K)] * rows
    else:
        each = [backup(missed, K) for missed in range(1, rows + 1)]
    return np.reshape([np.zeros_like(each[0]), *each], (rows + 1, -1))


def mean(seconds: Seconds) -> Array:
    """Return means over what scatters: shape (..., contexts), of one where none is told."""
    values = np.asarray(seconds, float)
    return values.mean(axis=(-2, -1)) if values.ndim > 2 else values[..., None]


def _work(verified: Seconds, free: Seconds, kept: int | Array, rows: int) -> Work:
    """Return the means, of `free` by how many rows hit: one for all, or one for each."""
    before, after = mean(verified), mean(free)
    contexts = max(before.shape[-1], after.shape[-1])
    return Work(
        np.broadcast_to(before, contexts),
        np.broadcast_to(after, (rows + 1, contexts)),
        np.broadcast_to(np.asarray(kept, np.int64).reshape(-1), contexts),
    )


def _steps_begun(both: _Beside, glue: Array, step: Array, most: int) -> Array:
    """Return how many steps are done or in flight when the verify ends."""
    with np.errstate(divide="ignore", invalid="ignore"):
        steps = np.ceil((both.done - glue) / step - SAME_TIME)
    unfinished = both.drafted > both.verified
    return np.where(unfinished, np.clip(steps, 0, most), most)


def _stopped(both: _Beside, glue: Seconds, step: Seconds, steps: Array) -> Array:
    """Return when the draft is free that stops after so many steps; the verify is over by then."""
    ends: Array = both.verified + np.maximum(glue + steps * step - both.done, 0.0)
    return ends
