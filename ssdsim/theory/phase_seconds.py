"""The seconds of a round in which a draft works ahead in two phases beside the verify.

All times are constant, in seconds. What happens at the same time, up to rounding, happens in the
order: the verify ends, a piece of draft work ends, the target is heard.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from ssdsim.theory.round_seconds import SAME_TIME, beside


@dataclass(frozen=True)
class PhaseTimes:
    """Seconds of each piece of work; tokens and branches count all rows of the batch together.

    Attributes
    ----------
    handshake
        What every round spends on messages, before target and draft begin side by side.
    dispatch
        Of asking the draft for another piece of work.
    verify, glue
        Of (tokens): the target's pass, and the draft's pass that predicts outcomes.
    spoken
        Of (seconds of a verify): after how many of them the target has spoken.
    message
        Of what it says, to the draft.
    tree
        Of (branches): one draft step.
    backup
        Of (rows that missed): drafting for them.
    slowdown
        How much slower target and draft run while both are busy.

    """

    handshake: float
    dispatch: float
    verify: Callable[[int], float]
    glue: Callable[[int], float]
    spoken: Callable[[float], float]
    message: float
    tree: Callable[[int], float]
    backup: Callable[[int], float]
    slowdown: tuple[float, float] = (1.0, 1.0)


class Load(NamedTuple):
    """What the rows of a round have together.

    Attributes
    ----------
    rows, drafted
        Rows, and tokens under verification besides one a row.
    branches
        Outcomes of the first phase.
    more, all_more
        Outcomes of the second phase that the first one lacks; that and those which it has.

    """

    rows: int
    drafted: int
    branches: int
    more: int
    all_more: int


@dataclass(frozen=True)
class Depths:
    """How many tokens both phases draft for an outcome, at most `lookahead`; None: what fits."""

    lookahead: int
    first: int | None
    second: int | None


class Course(NamedTuple):
    """How a round goes.

    Attributes
    ----------
    first, second
        Tokens that a hit of either phase gets; 0: that phase prepares nothing.
    seconds
        From when both models begin until both are free.

    """

    first: int
    second: int
    seconds: float


def course(times: PhaseTimes, load: Load, depths: Depths) -> Course:
    """Return how a round goes, from when both models begin."""
    tokens = load.rows + load.drafted
    mean = load.rows * (load.drafted // load.rows + 1)
    asking = times.glue(tokens) + times.dispatch  # the outcomes are a second message
    expected = times.verify(mean)
    first = _depth(depths.first, times.spoken(expected) - asking, times, load.branches, depths)
    if not (first and load.branches):
        first, load, work = 0, load._replace(more=load.all_more), 0.0
    else:
        work, asking = asking + first * times.tree(load.branches), 0.0
    verify = _Verify(times, times.verify(tokens), work)
    heard = max(verify.reached(times.spoken(verify.work)) + times.message, verify.drafted)
    if heard >= verify.end * (1 - SAME_TIME):
        return Course(first, 0, max(verify.end, verify.drafted))
    left = expected - times.dispatch - heard - asking
    second = _depth(depths.second, left, times, load.more, depths) if load.more else 0
    if not second:
        return Course(first, 0, verify.end)
    more = asking + second * times.tree(load.more)
    return Course(first, second, verify.beside(heard + times.dispatch, more))


def _depth(
    asked: int | None, seconds: float, times: PhaseTimes, branches: int, depths: Depths
) -> int:
    """Return the depth asked for, or how many steps of so many branches fit."""
    if asked is not None:
        return min(asked, depths.lookahead)
    step, K = times.tree(branches), depths.lookahead
    return next((n for n in range(K, 0, -1) if n * step <= seconds * (1 + SAME_TIME)), 0)


class _Verify:
    """A verify that begins together with the first phase, and is slower until that is over."""

    def __init__(self, times: PhaseTimes, work: float, drafting: float) -> None:
        both = beside(work, drafting, times.slowdown)
        self.slowdown, self.work = times.slowdown, work
        self.end, self.drafted = float(both.verified), float(both.drafted)
        self.shared = min(self.end, self.drafted)
        self.early = self.shared / times.slowdown[0]

    def reached(self, work: float) -> float:
        """Return when so many seconds' worth are done."""
        if work <= self.early:
            return work * self.slowdown[0]
        return self.shared + work - self.early

    def beside(self, begin: float, drafting: float) -> float:
        """Return when both are over, if the draft works again from `begin` on."""
        if begin >= self.end:
            return begin + drafting
        both = beside(self.end - begin, drafting, self.slowdown)
        return begin + max(float(both.verified), float(both.drafted))
