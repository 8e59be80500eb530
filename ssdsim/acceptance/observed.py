"""Acceptance by position from an engine's counters, which say nothing of the bonus token's rank.

So whether a round hits is not known. What is known are its bounds: nothing predicted, and an
oracle; and between them what other pairs' ranks would make of it (conf/ranks/published.yaml).
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import pairwise
from math import exp, log
from typing import ClassVar

from numpy.random import Generator, Philox

from ssdsim.acceptance.by_position import (
    Curve,
    Difficulty,
    PositionalSource,
    PositionalText,
    measured_curve,
)
from ssdsim.errors import require
from ssdsim.outcomes import Speculation, Speculator, outlined
from ssdsim.sampling.noise import Noise
from ssdsim.sampling.settings import Sampling
from ssdsim.theory.acceptance_runs import LONGEST, chain_rates

SURE = 1e-12
"""P(bonus outside the draft's candidates) where all are taken to be among them."""


@dataclass(frozen=True)
class Observed:
    """Logged acceptance by position; the ranks of bonus tokens are as other pairs have them.

    Chains begin in the run that the round before ended in. Token trees are taken to begin outside
    of any, which makes them a little too short.

    Attributes
    ----------
    accept
        P(a position is one that the draft gets right | the last j were, and the one before those
        was not), j = 0, 1, ...; the last value holds on. Chains of every length follow from it
        (`ssdsim.theory.acceptance_runs`).
    miss_fanouts, miss_best, miss_worst
        P(bonus token of a rejection outside the draft's top F) at these F, where ranks are at
        their best and at their worst. After a whole accepted draft the bonus token is the draft's
        first choice as often as the next position is accepted, else as after a rejection.
    between
        Where between the two the ranks are: 0 is the best, 1 the worst.

    """

    accept: tuple[float, ...]
    miss_fanouts: tuple[int, ...]
    miss_best: tuple[float, ...]
    miss_worst: tuple[float, ...]
    between: float = 0.5
    uses: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        fine = len(self.accept) > 0 and all(0 <= a <= 1 for a in self.accept)
        require(fine, "acceptance.accept", list(self.accept), "needs probabilities in [0, 1]")
        require(
            0 <= self.between <= 1, "acceptance.between", self.between, "needs a share in [0, 1]"
        )
        F = self.miss_fanouts
        rising = len(F) > 1 and F[0] >= 1 and all(a < b for a, b in pairwise(F))
        require(rising, "acceptance.miss_fanouts", list(F), "needs at least 2 rising fan-outs >= 1")
        for name in ("miss_best", "miss_worst"):
            _check_curve(name, getattr(self, name), len(F))

    def open(self, sampling: Sampling, rng: Generator) -> "ObservedSource":  # noqa: ARG002
        """Return the source; logs are of one way to sample."""
        state = Difficulty([1 - a for a in self.accept], self._curve())
        return ObservedSource(state, state, 1, rng)

    def known_by(self, miss: float) -> "Observed":
        """Return the same with P(bonus token of a rejection outside the draft's top F) = `miss`."""
        curve = (miss,) * len(self.miss_fanouts)
        return replace(self, miss_best=curve, miss_worst=curve)

    def _curve(self) -> Curve:
        pairs = zip(self.miss_best, self.miss_worst, strict=True)
        share = self.between
        return measured_curve(
            self.miss_fanouts, [exp((1 - share) * log(b) + share * log(w)) for b, w in pairs]
        )


def _check_curve(name: str, curve: Sequence[float], count: int) -> None:
    fine = len(curve) == count and all(0 < b <= a for a, b in pairwise((1.0, *curve)))
    right = f"needs {count} probabilities in (0, 1] that never rise, one a fan-out"
    require(fine, f"acceptance.{name}", list(curve), right)


@dataclass
class ObservedSource(PositionalSource):
    """Texts that are rows of runs."""

    places: dict[tuple[int, int], list[float]] = field(default_factory=dict, repr=False)

    def text(self, seq: int) -> "ObservedText":
        """Return text `seq`; its draws depend on nothing but the source's key and `seq`."""
        return ObservedText(self, Generator(Philox(key=[self.key, seq])), Noise(self.key, seq))

    def chains(self, lookahead: int) -> "Chains":
        """Return the long-run rates of chains of `lookahead` tokens."""
        return _chains(tuple(1 - h for h in self.easy.reject), lookahead, self.easy.miss)

    def along(self, place: int, length: int) -> list[float]:
        """Return P(at most k accepted), k = 0..length, of a round at a place of a run."""
        known = self.places.get((place, length))
        if known is None:
            below = self.easy.accepted_below(place + length + 1, place)
            known = self.places[place, length] = below
        return known


@dataclass(frozen=True)
class Chains:
    """How chains of one length end in the long run.

    Attributes
    ----------
    reject
        P(rejected at position j | accepted before it).
    right
        P(the bonus token is the draft's first choice | all accepted).
    miss
        P(bonus token of a rejection outside the draft's top F).

    """

    reject: tuple[float, ...]
    right: float
    miss: Curve

    def whole(self, length: int, fanout: int) -> float:  # noqa: ARG002 - of one length
        """Return P(bonus outside the draft's top `fanout` | all drafts accepted)."""
        return (1 - self.right) * self.miss(fanout - 1) if fanout else 1.0


@lru_cache(maxsize=256)
def _chains(run: tuple[float, ...], lookahead: int, miss: Curve) -> Chains:
    rates, right = chain_rates(run, max(lookahead, 1))
    alive = (1.0, *rates)
    reject = (1 - after / before if before else 1.0 for before, after in pairwise(alive))
    return Chains(tuple(reject), right, miss)


class ObservedText(PositionalText):
    """One text: a row of runs of positions that the draft gets right."""

    place = 0
    """Of the run that the next round begins in: positions right before it."""

    def speculate(self, length: int, speculator: Speculator) -> Speculation:
        """Draw how many of `length` tokens are accepted, and the rank of the bonus token.

        Behind the last one the text goes on with the draft's first choice as often as that is
        right; else with a lower one, before which the first choice stands.
        """
        assert isinstance(self.source, ObservedSource)
        luck, rank = self._round()
        right = bisect_right(self.source.along(self.place, length), luck)
        if right < length:
            return outlined(length, speculator, right, rank)
        below = rank + 1 if rank >= 0 else -1
        return outlined(length, speculator, length, 0 if right > length else below)

    def commit(self, speculation: Speculation, delivered: int) -> tuple[int, ...]:
        """Move on: the run goes on if the bonus token was the draft's first choice."""
        truth = speculation.truth
        assert truth is not None
        goes_on = truth.node == speculation.length and truth.rank == 0
        self.place = min(self.place + speculation.length + 1, LONGEST) if goes_on else 0
        return super().commit(speculation, delivered)
