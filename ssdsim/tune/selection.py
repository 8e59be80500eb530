"""Selects the best of a few candidates over the worlds that a profile leaves possible.

A block of the race is a world: all candidates that are left meet it. What a race guarantees holds
for the mean of log tokens/s over worlds (`ssdsim.tune.racing`); how often a candidate is the best
of its world is the probability that it is the best one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log

import numpy as np
from numpy.typing import NDArray

from ssdsim.tune.evaluation import Figures, Trial
from ssdsim.tune.launching import Evaluations
from ssdsim.tune.racing import Race, Rule
from ssdsim.tune.search_space import Options, words
from ssdsim.tune.worlds import World

Floats = NDArray[np.float64]

WITHIN = 0.002
"""Candidates whose means differ by less are as good as each other."""
AT_ONCE = 4
"""Worlds between two decisions."""


@dataclass(frozen=True)
class Selection:
    """What was seen of candidates in worlds.

    Attributes
    ----------
    candidates
        Those selected among.
    race
        Of them, by their words.

    """

    candidates: Sequence[Options]
    race: Race

    @property
    def best(self) -> Options:
        """The candidate with the best mean among those not dropped."""
        return next(one for one in self.candidates if words(one) == self.race.leader)

    @property
    def speeds(self) -> Floats:
        """Tokens/s, a row a world and a column a candidate; NaN once one is dropped."""
        return np.asarray(np.exp(self.race.values))

    @property
    def probabilities(self) -> dict[Options, float]:
        """How probable it is that each candidate is the best one.

        The share of worlds in which it is, and before any is seen as good a chance for each as for
        the others (Laplace's rule of succession).
        """
        wins = np.bincount(np.nanargmax(self.speeds, axis=1), minlength=len(self.candidates))
        total = len(self.speeds) + 1
        shares = (wins + 1 / len(self.candidates)) / total
        return dict(zip(self.candidates, shares.tolist(), strict=True))

    @property
    def regret(self) -> dict[Options, float]:
        """By how much tokens/s of each fall behind the best of a world, expected, as a share."""
        speeds = self.speeds
        best = np.nanmax(speeds, axis=1, keepdims=True)
        return dict(
            zip(self.candidates, np.nanmean(1 - speeds / best, axis=0).tolist(), strict=True)
        )

    def interval(self, one: Options) -> tuple[float, float]:
        """Return where 90 % of a candidate's tokens/s lie over worlds."""
        speeds = self.speeds[:, list(self.candidates).index(one)]
        low, high = np.nanquantile(speeds, [0.05, 0.95])
        return float(low), float(high)


def select(
    candidates: Sequence[Options], evaluations: Evaluations, worlds: int, confidence: float
) -> Selection:
    """Race candidates over at most so many worlds.

    Parameters
    ----------
    candidates
        Two or more that can be.
    evaluations
        Evaluates them.
    worlds
        The most to look at.
    confidence
        That none is better than the one chosen by more than `WITHIN`, where the race is over.

    """
    by_name = {words(one): one for one in candidates}
    race = Race(list(by_name), Rule(WITHIN, confidence))
    for first in range(0, worlds, AT_ONCE):
        left = race.left
        numbers = range(first, min(first + AT_ONCE, worlds))
        trials = [Trial(by_name[name], World(number)) for number in numbers for name in left]
        found = iter(evaluations.figures(trials))
        for _ in numbers:
            _add(race, dict(zip(left, found, strict=False)))
        if race.over:
            break
    return Selection(candidates, race)


def _add(race: Race, block: Mapping[str, Figures]) -> None:
    """Take up a world; a candidate that cannot be in it is worse than any that can."""
    seen = {name: figures.tokens_per_s for name, figures in block.items() if name in race.left}
    slow = 0.5 * min(speed for speed in seen.values() if speed > 0)
    race.add({name: log(speed or slow) for name, speed in seen.items()})
