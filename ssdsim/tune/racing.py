"""Selects the best of several configurations from blocks of paired observations: a race.

In a block every configuration that is left is observed once under common conditions (the same
minutes of a machine, or the same random numbers), so that what a block has in common cancels in
differences. After every block a confidence sequence for the mean of each pair's difference says
which of them are worse than another one; these are dropped.

Guarantee. Every pair's sequence has the level (1 - confidence) / (k - 1) for k configurations. So
the k - 1 sequences of the truly best one against the others all hold, at all times, with at least
the confidence asked for. Then it is never dropped; and a race that ends because none that is left
is more than `within` better than the leader has chosen one that is at most so much worse than the
best. It is assumed that a pair's differences are normal, and independent from block to block.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, nan
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ssdsim.errors import require
from ssdsim.tune.confidence_sequence import count_to_tell, half_width

Array = NDArray[np.float64]


class Bounds(NamedTuple):
    """An estimate, and where the truth lies with the confidence of a race."""

    low: float
    middle: float
    high: float


class Dropped(NamedTuple):
    """After how many blocks a configuration was dropped, and which other one was better."""

    blocks: int
    better: str


class Noise(NamedTuple):
    """Standard deviations of an observation, in its unit.

    Attributes
    ----------
    own
        Of what is left beside its configuration's mean and its block's share.
    shared
        Of the blocks' shares.
    freedom
        Degrees of freedom that tell the first.

    """

    own: float
    shared: float
    freedom: int


@dataclass(frozen=True)
class Rule:
    """When a race drops a configuration, and when it is over.

    Attributes
    ----------
    within
        How much better than the one chosen another one may be, in the observations' unit.
    confidence
        That none is better by more.
    first
        Blocks before any is dropped, 2 or more.
    borrowed
        Degrees of freedom by which the noise of all pairs counts in each: 0, and every pair's own
        variance may be any; more, if variances are alike.

    Raises
    ------
    ConfigError
        A value is not possible.

    """

    within: float
    confidence: float = 0.95
    first: int = 2
    borrowed: float = 0.0

    def __post_init__(self) -> None:
        require(0 <= self.within < inf, "within", self.within, "needs a number >= 0")
        right = "needs a probability above 0 and below 1"
        require(0 < self.confidence < 1, "confidence", self.confidence, right)
        require(self.first >= 2, "first", self.first, "needs 2 blocks or more")
        require(0 <= self.borrowed < inf, "borrowed", self.borrowed, "needs a number >= 0")


class Race:
    """Blocks of observations of several configurations, more being better.

    Attributes
    ----------
    names
        All configurations.
    values
        What was observed, a row a block and a column a configuration; NaN once one is dropped.
    dropped
        Those that were, in this order.

    """

    def __init__(self, names: Sequence[str], rule: Rule) -> None:
        self.names, self.rule = tuple(names), rule
        self.values: Array = np.empty((0, len(self.names)))
        self.dropped: dict[str, Dropped] = {}

    @property
    def left(self) -> list[str]:
        """Those that are not dropped."""
        return [name for name in self.names if name not in self.dropped]

    @property
    def leader(self) -> str:
        """The one with the best mean, among those left; the first one before any block."""
        means = {name: float(np.mean(self._column(name))) for name in self.left if len(self.values)}
        return max(means, key=means.__getitem__, default=self.names[0])

    @property
    def gap(self) -> float:
        """How much better than the leader the best may be, with the race's confidence."""
        return self.behind(self.leader).high

    @property
    def over(self) -> Literal["separated", "alike"] | None:
        """Why no more blocks are needed: one is left, or none is much better; None if they are."""
        if len(self.values) < self.rule.first:
            return None
        if len(self.left) == 1:
            return "separated"
        return "alike" if self.gap <= self.rule.within else None

    def add(self, block: Mapping[str, float]) -> None:
        """Take up a block, and drop those that are worse than another one.

        Raises
        ------
        ValueError
            It does not hold a finite number for each one left, and for no other.

        """
        if set(block) != set(self.left) or not np.isfinite(list(block.values())).all():
            raise ValueError(f"a block needs a number for each of {self.left}, has {dict(block)}")
        row = [block.get(name, np.nan) for name in self.names]
        self.values = np.vstack([self.values, row])
        if len(self.values) >= self.rule.first:
            self._drop()

    def difference(self, one: str, other: str) -> Bounds:
        """Return how much better the first is than the second, from the blocks with both."""
        if one == other:
            return Bounds(0.0, 0.0, 0.0)
        common = min(len(self._column(one)), len(self._column(other)))
        means, widths = self._pairs([one, other], common)
        return Bounds(means[0, 1] - widths[0, 1], means[0, 1], means[0, 1] + widths[0, 1])

    def behind(self, name: str) -> Bounds:
        """Return how much better the best is than a configuration; never below 0.

        The upper end holds together with what the race guarantees, the lower end by itself.
        """
        best = [self.difference(other, name) for other in self.left]
        low, high = (max(0.0, *(getattr(one, end) for one in best)) for end in ("low", "high"))
        return Bounds(low, max(0.0, self.difference(self.leader, name).middle), high)

    @property
    def noise(self) -> Noise:
        """Estimated from all blocks of all configurations; NaN where too few tell."""
        return noise(self.values)

    def blocks_to_tell(self, difference: float) -> float:
        """Return how many blocks tell a difference from none, if noise stays as it was."""
        return count_to_tell(difference, 2 * self.noise.own**2, self._level)

    @property
    def _level(self) -> float:
        """The chance that a pair's sequence may ever be wrong with."""
        return (1 - self.rule.confidence) / max(len(self.names) - 1, 1)

    def _drop(self) -> None:
        left = self.left
        means, widths = self._pairs(left, len(self.values))
        behind = (means + widths).min(axis=1)  # the best that can be said of each
        better = (means + widths).argmin(axis=1)
        for at in np.flatnonzero(behind < 0):
            self.dropped[left[at]] = Dropped(len(self.values), left[better[at]])

    def _pairs(self, names: Sequence[str], blocks: int) -> tuple[Array, Array]:
        """Return means of row less column in the first blocks, and half widths about them."""
        columns = [self.names.index(name) for name in names]
        values = self.values[:blocks, columns]
        if blocks == 0:
            return np.zeros((len(names),) * 2), np.full((len(names),) * 2, inf)
        means = values.mean(axis=0)
        products = (values - means).T @ (values - means)
        squares = np.diag(products)
        scatter = np.maximum(squares[:, None] + squares[None, :] - 2 * products, 0.0)
        widths = half_width(blocks, scatter, self._level, *self._borrowed())
        return means[:, None] - means[None, :], widths

    def _borrowed(self) -> tuple[float, float]:
        """Return the degrees of freedom that others lend a pair, and their variance.

        They lend no more than they have.
        """
        if not self.rule.borrowed:
            return 0.0, 0.0
        known = self.noise
        weight = min(self.rule.borrowed, known.freedom - (len(self.values) - 1))
        return (weight, 2 * known.own**2) if weight > 0 else (0.0, 0.0)

    def _column(self, name: str) -> Array:
        column = self.values[:, self.names.index(name)]
        return column[~np.isnan(column)]


def noise(values: Array) -> Noise:
    """Return the noise of observations, by least squares over blocks and configurations.

    Parameters
    ----------
    values
        A row a block and a column a configuration, NaN where there is none.

    """
    there = ~np.isnan(values)
    blocks, configurations = values.shape
    freedom = int(there.sum()) - blocks - configurations + 1
    if blocks < 2 or freedom <= 0:
        return Noise(nan, nan, 0)
    weights = there / there.sum(axis=0)  # of blocks in a configuration's mean
    centred = np.where(there, values - np.nanmean(values, axis=0), 0.0)
    # The normal equations of the blocks' shares, their configurations' means eliminated.
    equations = np.diag(there.sum(axis=1)) - weights @ there.T
    shares = np.linalg.lstsq(equations, centred.sum(axis=1))[0]
    residuals = np.where(there, centred - shares[:, None] + shares @ weights, 0.0)
    own = float(np.sqrt(np.square(residuals).sum() / freedom))
    return Noise(own, float(np.std(shares, ddof=1)), freedom)
