"""How service times scatter: factors that multiply the seconds a latency model answers."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import repeat
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ssdsim.errors import require
from ssdsim.sampling.streams import blocks


@runtime_checkable
class Jitter(Protocol):
    """A distribution of factors, all positive."""

    def factors(self, rng: np.random.Generator, size: int) -> NDArray[np.float64]:
        """Draw `size` independent factors."""
        ...


@runtime_checkable
class Averaged(Jitter, Protocol):
    """A distribution whose means are known without drawing from it."""

    def means(self, count: int) -> NDArray[np.float64]:
        """Return the mean factor of each of `count` equal shares of the probability, rising.

        Fewer where they are all the same.
        """
        ...


@dataclass(frozen=True)
class NoJitter:
    """Every pass takes exactly its seconds; draws no random numbers."""

    called: ClassVar[str] = "none"

    def factors(self, rng: np.random.Generator, size: int) -> NDArray[np.float64]:  # noqa: ARG002 - nothing is random
        """Return `size` ones."""
        return np.ones(size)

    def means(self, count: int) -> NDArray[np.float64]:  # noqa: ARG002 - all the same
        """Return the one factor there is."""
        return np.ones(1)


@dataclass(frozen=True)
class Lognormal:
    """Lognormal factors of mean 1, so that jitter moves no mean service time.

    Attributes
    ----------
    sigma
        Standard deviation of a factor's logarithm; for small values the coefficient of variation.

    Raises
    ------
    ConfigError
        `sigma` is negative or not finite.

    """

    sigma: float

    def __post_init__(self) -> None:
        require(0 <= self.sigma < math.inf, "sigma", self.sigma, "must be finite, at least 0")

    def factors(self, rng: np.random.Generator, size: int) -> NDArray[np.float64]:
        """Draw `size` independent factors."""
        # The mean of exp(sigma z) is exp(sigma² / 2).
        return np.exp(self.sigma * rng.standard_normal(size) - self.sigma**2 / 2)

    def means(self, count: int) -> NDArray[np.float64]:
        """Return the mean factor of each of `count` equal shares of the probability.

        E[exp(sigma z - sigma² / 2); z < x] is the normal distribution function at x - sigma.
        """
        from scipy.special import ndtr, ndtri

        below = ndtr(ndtri(np.linspace(0, 1, count + 1)) - self.sigma)
        means: NDArray[np.float64] = count * np.diff(below)
        return means


@dataclass(frozen=True)
class Quantiles:
    """Factors as measured: an inverse distribution function, linear between its points.

    For a table of median seconds: tails and skew of the measurement are kept, a median stays one.

    Attributes
    ----------
    values
        Quantiles at equally spaced probabilities from 0 to 1 (minimum first, maximum last),
        divided by the median, hence 1 in the middle (to 1 %, as files are rounded).

    Raises
    ------
    ConfigError
        There are fewer than two values, they fall, are not positive, or their median is not 1.

    """

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(self.values))  # a list from a file would not hash
        values = np.asarray(self.values)
        right = values.size > 1 and bool((np.diff(values) >= 0).all())
        require(right, "values", self.values, "must be at least two numbers, none below the last")
        positive = bool(values[0] > 0) and math.isfinite(values[-1])
        require(positive, "values", self.values, "must be positive and finite")
        relative = abs(float(np.median(values)) - 1) <= 0.01
        require(relative, "values", self.values, "must be relative to the median, 1 in the middle")

    def factors(self, rng: np.random.Generator, size: int) -> NDArray[np.float64]:
        """Draw `size` independent factors."""
        return np.interp(rng.random(size), np.linspace(0, 1, len(self.values)), self.values)

    def means(self, count: int) -> NDArray[np.float64]:
        """Return the mean factor of each of `count` equal shares of the probability."""
        known, edges = np.linspace(0, 1, len(self.values)), np.linspace(0, 1, count + 1)
        grid = np.union1d(known, edges)
        factors = np.interp(grid, known, self.values)
        pieces = np.diff(grid) * (factors[1:] + factors[:-1]) / 2
        below = np.interp(edges, grid, np.concatenate([[0.0], np.cumsum(pieces)]))
        means: NDArray[np.float64] = count * np.diff(below)
        return means


def factors(jitter: Jitter, rng: np.random.Generator) -> Callable[[], float]:
    """Return what draws one factor after another."""
    if isinstance(jitter, NoJitter):
        return repeat(1.0).__next__
    return blocks(lambda size: jitter.factors(rng, size)).__next__
