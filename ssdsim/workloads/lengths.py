"""Lengths of prompts and outputs: a number of tokens, or how it is distributed."""

from dataclasses import dataclass
from itertools import pairwise
from math import log1p
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ssdsim.errors import require

LONGEST = 16
"""Means at which a geometric length is cut: of e^16 texts, 9 million, one is longer."""


@runtime_checkable
class Lengths(Protocol):
    """How many tokens texts have."""

    @property
    def most(self) -> int:
        """The most tokens that one can have."""
        ...

    def tokens(self, shares: NDArray[Any]) -> NDArray[np.int64]:
        """Return the tokens that so large a share of all texts (0 to 1) has at most, an array."""
        ...


@dataclass(frozen=True)
class Geometric:
    """Every token is the last one with the same chance, whatever came before.

    Attributes
    ----------
    mean
        Tokens on average, 1 or more.

    """

    mean: float = 256.0

    def __post_init__(self) -> None:
        require(self.mean >= 1, "mean", self.mean, "needs a number of tokens >= 1")

    @property
    def most(self) -> int:
        """The most tokens that one can have."""
        return int(LONGEST * self.mean)

    def tokens(self, shares: NDArray[Any]) -> NDArray[np.int64]:
        """Return the quantiles of these shares."""
        if self.mean == 1:
            return np.ones(shares.shape, np.int64)
        drawn = np.ceil(np.log1p(-shares) / log1p(-1 / self.mean))
        return np.asarray(np.clip(drawn, 1, self.most), np.int64)


@dataclass(frozen=True)
class Quantiles:
    """As in a trace that is known by its quantiles.

    Between them the logarithm is on a straight line: tails are long, and straight lines between
    tokens themselves made the means of public traces 1 to 30 % too large.

    Attributes
    ----------
    shares
        Of all texts, in ascending order up to 1.
    values
        The tokens that so many have at most.

    """

    shares: tuple[float, ...] = (0.0, 0.5, 1.0)
    values: tuple[float, ...] = (1, 256, 512)

    def __post_init__(self) -> None:
        right = "needs shares of all texts in ascending order, from 0 or more to 1"
        ends = self.shares and self.shares[0] >= 0 and self.shares[-1] == 1
        require(bool(ends) and _ascending(self.shares), "shares", self.shares, right)
        right = f"needs {len(self.shares)} numbers of tokens >= 1 in ascending order, one a share"
        found = len(self.values) == len(self.shares) and min(self.values) >= 1
        require(found and _ascending(self.values), "values", self.values, right)

    @property
    def most(self) -> int:
        """The most tokens that one can have."""
        return round(self.values[-1])

    def tokens(self, shares: NDArray[Any]) -> NDArray[np.int64]:
        """Return the quantiles of these shares."""
        return np.asarray(
            np.rint(np.exp(np.interp(shares, self.shares, np.log(self.values)))), np.int64
        )


def _ascending(numbers: tuple[float, ...]) -> bool:
    return all(one <= other for one, other in pairwise(numbers))
