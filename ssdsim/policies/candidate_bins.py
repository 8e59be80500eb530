"""Running frequencies of the candidates of a bonus token, in bins of like chances."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import log2
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BINS = 64
"""Bins of shares down to 1e-9."""


@dataclass(slots=True)
class Frequency:
    """How often something happened, starting from a prior guess."""

    happened: float
    trials: float

    @property
    def mean(self) -> float:
        """The share of trials in which it happened."""
        return self.happened / self.trials


class Candidates(NamedTuple):
    """What may follow a node.

    Attributes
    ----------
    bins, shares
        The bin and the guessed chance of every candidate, best first.
    counts
        How many of them are in each bin.
    kinds
        The bins that are not empty.

    """

    bins: NDArray[np.intp]
    shares: tuple[float, ...]
    counts: Floats
    kinds: frozenset[int]

    @classmethod
    def of(cls, bins: Sequence[int], shares: tuple[float, ...], size: int) -> Self:
        """Count candidates in so many bins."""
        own = np.array(bins, np.intp)
        counts = np.bincount(own, minlength=size).astype(np.float64)
        return cls(own, shares, counts, frozenset(bins))


class Bins:
    """How often the bonus token was in each of many bins, starting from prior guesses."""

    def __init__(self, size: int, prior: float) -> None:
        self.prior = prior
        self.happened, self.trials = np.zeros(size), np.full(size, prior)
        self.guessed: set[int] = set()

    def means(self, candidates: Candidates) -> Floats:
        """Return how often it was each of these candidates."""
        self._guess(candidates)
        means: Floats = self.happened[candidates.bins] / self.trials[candidates.bins]
        return means

    def see(self, candidates: Candidates, ranks: Mapping[int, int]) -> None:
        """Count bonus tokens by their ranks: each was that candidate, or none of them."""
        self._guess(candidates)
        self.trials += candidates.counts * sum(ranks.values())
        for rank, times in ranks.items():
            if 0 <= rank < len(candidates.shares):
                self.happened[candidates.bins[rank]] += times

    def _guess(self, candidates: Candidates) -> None:
        """Let the first candidate of a new bin be the first guess."""
        if not candidates.kinds <= self.guessed:
            for place, guess in zip(candidates.bins.tolist(), candidates.shares, strict=True):
                if place not in self.guessed:
                    self.happened[place] = guess * self.prior
                    self.guessed.add(place)


@lru_cache(maxsize=4096)
def known_candidates(chances: tuple[float, ...], ranks: int) -> Candidates:
    """Bin candidates by their shares of the draft's probability, two bins a factor of 2."""
    kept = chances[:ranks]
    total = sum(kept) or 1.0
    shares = tuple(max(1e-9, chance / total) for chance in kept)
    bins = [int(-2 * log2(share)) for share in shares]
    return Candidates.of(bins, shares, bins_of(ranks))


@lru_cache
def ranked_candidates(ranks: int) -> Candidates:
    """Give candidates of which nothing is known a bin a rank."""
    bins = range(ranks)
    return Candidates.of(bins, tuple(map(guessed_share, bins)), bins_of(ranks))


def bins_of(ranks: int) -> int:
    """Return how many bins there are."""
    return max(ranks, BINS)


def guessed_share(rank: int) -> float:
    """Guess how often the bonus token is the candidate of this rank."""
    return float(0.5 / (rank + 1) ** 1.5)
