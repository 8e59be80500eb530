"""Selects the best of a few candidates over the worlds that a profile leaves possible.

A block of the race is a world, which all candidates meet: what a race guarantees holds for the mean
of log tokens/s over worlds (`ssdsim.tune.racing`). Where these come in opposite pairs, their mean
is known better than they scatter, and what is said of it is rather too careful.

How often one is the best of its world says how probable it is that it is the best one, but for
luck, which makes of one that is the best everywhere one of several that come first in turn. Every
world is therefore met with two lucks: that tells what differs between worlds from what differs
within them (1 1/2-level simulation; Sun, Apley and Staum, "Efficient nested simulation for
estimating the variance of a conditional expectation", 2011), and what luck adds to the differences
between worlds is taken away before they are counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.random import default_rng
from numpy.typing import NDArray

from ssdsim.errors import ConfigError
from ssdsim.tune.evaluation import Trial
from ssdsim.tune.launching import Evaluations
from ssdsim.tune.racing import Race, Rule
from ssdsim.tune.search_space import Options, words
from ssdsim.tune.worlds import World

Floats = NDArray[np.float64]

WITHIN = 0.002
"""Candidates that differ by less are as good as each other."""
AT_ONCE = 4
"""Worlds between two decisions."""
LEAST = 8
"""Worlds without which there are no probabilities."""
LUCKS = 2
"""With which every world is met."""
DRAWN = 512
"""How often every world is drawn."""


@dataclass(frozen=True)
class Selection:
    """What was seen of candidates in worlds.

    Attributes
    ----------
    candidates
        Those selected among.
    race
        Of them, by their words.
    seen
        Log tokens/s, by world, luck and candidate.

    """

    candidates: Sequence[Options]
    race: Race
    seen: Floats

    @property
    def best(self) -> Options:
        """The candidate with the best mean among those not dropped."""
        return next(one for one in self.candidates if words(one) == self.race.leader)

    @property
    def probabilities(self) -> dict[Options, float]:
        """How probable it is that no other candidate is better than each by more than `WITHIN`.

        The share of worlds in which it is so, and before any is seen as good a chance for each as
        for the others, which counts for one world. Equally good ones are all the best, so these may
        sum up to more than one.
        """
        share, worlds = (self._behind <= WITHIN).mean(axis=0), len(self.seen)
        return self._each((share * worlds + 1 / len(self.candidates)) / (worlds + 1))

    @property
    def regret(self) -> dict[Options, float]:
        """By how much tokens/s of each fall behind the best of a world, expected, as a share."""
        return self._each(-np.expm1(-self._behind).mean(axis=0))

    def interval(self, one: Options) -> tuple[float, float]:
        """Return where 90 % of a candidate's tokens/s lie over worlds."""
        speeds = np.exp(self._drawn[:, list(self.candidates).index(one)])
        low, high = np.quantile(speeds, [0.05, 0.95])
        return float(low), float(high)

    @property
    def _behind(self) -> Floats:
        """By how much the logarithm of each is behind the best one's, a row a draw."""
        return np.asarray(self._drawn.max(axis=1, keepdims=True) - self._drawn)

    @cached_property
    def _drawn(self) -> Floats:
        """Log tokens/s in worlds without luck: a row a draw, and a column a candidate.

        Every draw is one of the worlds seen. How far luck has moved the mean of all is not known.
        """
        worlds, of_luck = self.seen.mean(axis=1), _of_luck(self.seen)
        centre, rng = worlds.mean(axis=0), default_rng(0)
        mean_luck = rng.multivariate_normal(
            np.zeros(len(centre)), of_luck / len(worlds), (DRAWN, len(worlds)), method="eigh"
        )
        drawn = centre + (worlds - centre) @ _less_luck(worlds, of_luck) + mean_luck
        return np.asarray(drawn.reshape(-1, len(centre)))

    def _each(self, values: Floats) -> dict[Options, float]:
        return dict(zip(self.candidates, values.tolist(), strict=True))


def _of_luck(seen: Floats) -> Floats:
    """Return the covariance of candidates' means over the lucks of a world, in that world."""
    within = (seen - seen.mean(axis=1, keepdims=True)).reshape(-1, seen.shape[-1])
    worlds, lucks, _ = seen.shape
    return np.asarray(within.T @ within / (worlds * (lucks - 1) * lucks))


def _less_luck(worlds: Floats, of_luck: Floats) -> Floats:
    """Return what shrinks differences between worlds to what they are without luck.

    In the direction of each principal component, by the share that luck has in its variance.
    """
    values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(worlds, rowvar=False)))
    luck = np.einsum("ij,ik,kj->j", vectors, of_luck, vectors)
    share = np.divide(luck, values, out=np.zeros_like(values), where=values > 0).clip(0, 1)
    return np.asarray(vectors * np.sqrt(1 - share) @ vectors.T)


def select(
    candidates: Sequence[Options], evaluations: Evaluations, worlds: int, confidence: float
) -> Selection:
    """Race candidates over at most so many worlds.

    All of them meet every world, also those that the race has dropped: they might be the best in
    another one.

    Parameters
    ----------
    candidates
        Those that can be in the world that the profile describes.
    evaluations
        Evaluates them.
    worlds
        The most to look at.
    confidence
        That none is better than the one chosen by more than `WITHIN`, where the race is over.

    Raises
    ------
    ConfigError
        None of them can be in those worlds.

    """
    race = Race([words(one) for one in candidates], Rule(WITHIN, confidence))
    seen: list[Floats] = []
    for first in range(0, worlds, AT_ONCE):
        numbers = range(first, min(first + AT_ONCE, worlds))
        met = _met(candidates, numbers, evaluations)
        for world in met:
            means = dict(zip(race.names, world.mean(axis=0).tolist(), strict=True))
            race.add({name: means[name] for name in race.left})
        seen += met
        if race.over and len(seen) >= LEAST:
            break
    if len(seen) < 2:
        reason = evaluations.figures([Trial(candidates[0], World(0))])[0].refused
        leave = "tune.acceptance_error=0 tune.time_error=0 leave it at what the profile says"
        raise ConfigError(f"{reason}; {leave}")
    return Selection(candidates, race, np.array(seen))


def _met(
    candidates: Sequence[Options], numbers: Sequence[int], evaluations: Evaluations
) -> list[Floats]:
    """Return log tokens/s of candidates in each world that can be, by luck and candidate."""
    worlds = [[World(number, luck=luck) for luck in range(LUCKS)] for number in numbers]
    every = [Trial(one, each) for world in worlds for each in world for one in candidates]
    found = [figures.tokens_per_s for figures in evaluations.figures(every)]
    shape = len(worlds), LUCKS, len(candidates)
    return [_logs(world) for world in np.reshape(found, shape) if world.any()]


def _logs(speeds: Floats) -> Floats:
    """Return log tokens/s; a candidate that cannot be is worse than any that can."""
    return np.asarray(np.log(np.where(speeds > 0, speeds, speeds[speeds > 0].min() / 2)))
