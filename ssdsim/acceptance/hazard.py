"""Acceptance by position from logged histograms, separate for rounds after a hit and a miss.

That is what logs of real engines hold: a histogram of accepted drafts, a mean for the rounds
after a miss, a hit rate. Copy those numbers in; nothing else is needed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise
from typing import ClassVar

from numpy.random import Generator

from ssdsim.acceptance.by_position import Curve, Difficulty, PositionalSource, measured_curve
from ssdsim.errors import ConfigError, require
from ssdsim.sampling.settings import Sampling


@dataclass(frozen=True)
class HazardTable:
    """What was logged at one temperature.

    Attributes
    ----------
    temperature
        Where it was logged.
    accepted_on_hit
        Share of the rounds after a hit in which n = 0, 1, ..., K drafts were accepted.
    length_on_miss
        Mean accepted + 1 of the rounds after a miss, at the same K. Their hazards are those
        after a hit times one factor.
    accepted_on_miss
        Where the histogram of those rounds was logged too, it takes the place of that mean.
    hit_rate
        Logged with a uniform fan-out of `fanout`.
    fanout
        See above.
    miss_fanouts, miss_on_hit, miss_on_miss
        A measured curve: P(bonus outside the draft's top F) at these F, for a round in flight
        that was a hit, or a miss. One factor on both brings the hit rate to `hit_rate`.

    """

    temperature: float
    accepted_on_hit: tuple[float, ...]
    length_on_miss: float
    hit_rate: float
    fanout: int
    miss_fanouts: tuple[int, ...]
    miss_on_hit: tuple[float, ...]
    miss_on_miss: tuple[float, ...]
    accepted_on_miss: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        _check_histogram("accepted_on_hit", self.accepted_on_hit)
        if self.accepted_on_miss:
            _check_histogram("accepted_on_miss", self.accepted_on_miss)
        self._check_curves()
        fine = 0 < self.hit_rate < 1
        require(fine, "acceptance.hit_rate", self.hit_rate, "needs a share between 0 and 1")
        most = len(self.accepted_on_hit)
        right = f"needs a mean from 1 to K + 1 = {most}"
        require(
            1 <= self.length_on_miss <= most,
            "acceptance.length_on_miss",
            self.length_on_miss,
            right,
        )

    @lru_cache  # noqa: B019 - a few tables, which runs in turn ask for the same
    def difficulties(self) -> tuple[Difficulty, Difficulty]:
        """Return what a round is like after a hit and after a miss."""
        hazards = _hazards(self.accepted_on_hit)
        logged = self.accepted_on_miss
        harder = _hazards(logged) if logged else _scaled_to(self.length_on_miss, hazards)
        on_hit = measured_curve(self.miss_fanouts, self.miss_on_hit)
        on_miss = measured_curve(self.miss_fanouts, self.miss_on_miss)
        # A round is "after a hit" with the chain's long-run share p = (1-sh)/(1-sh+se).
        p, e, h = self.hit_rate, on_hit(self.fanout), on_miss(self.fanout)
        factor = (1 - p) / ((1 - p) * h + p * e)
        return (
            Difficulty(hazards, _times(factor, on_hit)),
            Difficulty(harder, _times(factor, on_miss)),
        )

    def _check_curves(self) -> None:
        F = self.miss_fanouts
        rising = len(F) > 1 and F[0] >= 1 and all(a < b for a, b in pairwise(F))
        require(rising, "acceptance.miss_fanouts", list(F), "needs at least 2 rising fan-outs >= 1")
        for name in ("miss_on_hit", "miss_on_miss"):
            curve = getattr(self, name)
            fine = len(curve) == len(F) and all(0 < b <= a for a, b in pairwise((1.0, *curve)))
            right = f"needs {len(F)} probabilities in (0, 1] that never rise, one a fan-out"
            require(fine, f"acceptance.{name}", list(curve), right)


@dataclass(frozen=True)
class Hazard:
    """Logged acceptance, one table a temperature.

    Attributes
    ----------
    at
        The tables, under names of your choice.

    """

    at: dict[str, HazardTable]
    uses: ClassVar[frozenset[str]] = frozenset({"temperature"})

    def open(self, sampling: Sampling, rng: Generator) -> PositionalSource:
        """Return the source at this temperature.

        Raises
        ------
        ConfigError
            Nothing was logged at this temperature.

        """
        for table in self.at.values():
            if table.temperature == sampling.temperature:
                return PositionalSource(*table.difficulties(), table.fanout, rng)
        known = sorted(table.temperature for table in self.at.values())
        raise ConfigError(
            f"temperature={sampling.temperature}: these logs were taken at {known}; "
            "add a table to acceptance.at for another one"
        )


def _check_histogram(name: str, shares: Sequence[float]) -> None:
    fine = len(shares) > 1 and min(shares) >= 0 and abs(sum(shares) - 1) < 0.01
    right = "needs at least 2 shares >= 0 that add up to 1 (within 0.01)"
    require(fine, f"acceptance.{name}", list(shares), right)


def _hazards(shares: Sequence[float]) -> list[float]:
    """Turn P(n accepted) into P(rejected at j | accepted before it)."""
    total, alive, hazards = sum(shares), 1.0, []
    for share in shares[:-1]:
        hazards.append(min(1.0, share / total / alive) if alive > 0 else 1.0)
        alive -= share / total
    return hazards


def _mean_length(hazards: Sequence[float]) -> float:
    alive, length = 1.0, 1.0
    for hazard in hazards:
        alive *= 1 - hazard
        length += alive
    return length


def _scaled_to(length: float, hazards: Sequence[float]) -> list[float]:
    """Multiply the hazards by the one factor that makes the mean accepted + 1 equal `length`."""

    def scaled(factor: float) -> list[float]:
        return [min(1.0, factor * hazard) for hazard in hazards]

    return scaled(_solve(lambda factor: length - _mean_length(scaled(factor)), 0.0, 1e4))


def _solve(rising: Callable[[float], float], low: float, high: float) -> float:
    """Find the root of a rising function by bisection."""
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < 0 else (low, middle)
    return (low + high) / 2


def _times(factor: float, curve: Curve) -> Curve:
    return cache(lambda F: 1.0 if F == 0 else min(1.0, factor * curve(F)))
