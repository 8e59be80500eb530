"""Acceptance by position from an engine's counters, which say nothing of the bonus token's rank.

So whether a round hits is not known. What is known are its bounds: nothing predicted, and an
oracle; and between them what other pairs' ranks would make of it (conf/ranks/published.yaml).
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
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

SURE = 1e-12
"""P(bonus outside the draft's candidates) where all are taken to be among them."""


@dataclass(frozen=True)
class Observed:
    """Logged acceptance by position; the ranks of bonus tokens are as other pairs have them.

    Attributes
    ----------
    accept
        P(token j is accepted | those before it were), j = 0, 1, ...; the last value holds on.
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
    """Texts in which a whole accepted draft goes on as the draft would."""

    def text(self, seq: int) -> "ObservedText":
        """Return text `seq`; its draws depend on nothing but the source's key and `seq`."""
        return ObservedText(self, Generator(Philox(key=[self.key, seq])), Noise(self.key, seq))

    def whole(self, length: int, fanout: int) -> float:
        """Return P(bonus outside the draft's top `fanout` | all of `length` drafts accepted)."""
        reject = self.easy.reject
        own = reject[min(length, len(reject) - 1)]
        return own * self.easy.miss(fanout - 1) if fanout else 1.0


class ObservedText(PositionalText):
    """One text; one draw decides where a chain breaks, its end included."""

    def speculate(self, length: int, speculator: Speculator) -> Speculation:
        """Draw how many of `length` tokens are accepted, and the rank of the bonus token.

        Behind the last one the text goes on with the draft's first choice as often as that would
        have been accepted; else with a lower one, before which the first choice stands.
        """
        luck, rank = self._round()
        right = bisect_right(self.source.accepted(self.state, length + 1), luck)
        if right < length:
            return outlined(length, speculator, right, rank)
        below = rank + 1 if rank >= 0 else -1
        return outlined(length, speculator, length, 0 if right > length else below)
