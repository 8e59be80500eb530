"""Searches each method's configurations for its best ones, in the world that a profile describes.

Few configurations are all evaluated. Of many, those that the exact expectation covers are looked at
first: it takes a millisecond, and the best of them seed the search. That is a tree-structured
Parzen estimator (Bergstra et al. 2011; Optuna's), which finds the region, and then a descent: the
neighbours of the best configuration are evaluated, an option at a time, until none is better.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from math import gcd
from typing import Any

from ssdsim.engine.exact_expectation import expect
from ssdsim.errors import ConfigError
from ssdsim.tune.evaluation import Figures, Trial
from ssdsim.tune.launching import Evaluations
from ssdsim.tune.neighbours import along, beyond, neighbours, ways
from ssdsim.tune.parzen_estimator import estimated
from ssdsim.tune.search_space import Family, Options
from ssdsim.tune.worlds import World

SMALL = 12
"""So many configurations of a method are all evaluated."""
SEEDS = 2
"""Configurations of a family that the exact expectation recommends."""
ASKED = 0.1
"""Of a method's configurations without an exact expectation no more than so many are asked for."""
PART = World(tokens=4096)
"""What configurations are tried on; a workload of fewer tokens is tried as a whole."""
CONFIRMED, CONFIRMED_OF_EACH = 12, 2
"""The best of all, and of each method, that are evaluated on the whole workload."""
EVEN = "uniform_fanout"
"""A policy that the exact expectation covers."""
EXACT_AT_MOST = 256
"""Configurations of a family that the exact expectation is asked about to begin with."""


@dataclass
class Search:
    """Looks for the best configurations of methods.

    Attributes
    ----------
    families
        What there is to choose among.
    evaluations
        Evaluates.
    asked
        The most configurations of a method that the estimator asks for.
    seed
        Of the estimator.
    tried
        What was evaluated on part of the workload, by configuration.
    found
        The best of these, of each method and of all, on the whole of it.
    screened
        Exact expectations of tokens/s.

    """

    families: Sequence[Family]
    evaluations: Evaluations
    asked: int = 32
    seed: int = 0
    tried: dict[Options, Figures] = field(default_factory=dict)
    found: dict[Options, Figures] = field(default_factory=dict)
    screened: dict[Options, float] = field(default_factory=dict)

    def run(self) -> None:
        """Search every method."""
        small: list[list[Family]] = []
        large: list[list[Family]] = []
        for families in by_method(self.families).values():
            (small if sum(one.size for one in families) <= SMALL else large).append(families)
        self._evaluate(one for families in small for family in families for one in family)
        for families in large:
            self._search(families)
        self._confirm()

    def check(self, asked: Mapping[str, Sequence[Any]]) -> None:
        """Refuse a value that was asked for, if nothing can be set up with it.

        Raises
        ------
        ConfigError
            As a configuration with it is refused.

        """
        for option, values in asked.items():
            for value in values:
                own = (one.among(option, [value]) for one in self.families if option in one.values)
                self._check(options for family in own if family for options in _first_tried(family))

    def check_found(self, asked: Iterable[str]) -> None:
        """Refuse an option that was asked for, if nothing that was tried with it can be.

        Raises
        ------
        ConfigError
            As a configuration with it is refused.

        """
        for option in asked:
            own = [figures for one, figures in self.tried.items() if option in dict(one)]
            if own and all(figures.refused for figures in own):
                raise ConfigError(own[0].refused)

    def _check(self, candidates: Iterable[Options]) -> None:
        """Raise what is wrong with the first, if something is with every one."""
        errors = []
        for options in candidates:
            try:
                self.evaluations.bench.setup(Trial(options))
            except ConfigError as error:
                errors.append(error)
            else:
                return
        if errors:
            raise errors[0]

    def ranked(self, method: str | None = None) -> list[Options]:
        """Return the configurations tried that can be, of a method or of all, fastest first."""
        possible = [one for one, figures in self.tried.items() if not figures.refused]
        own = [one for one in possible if method is None or ("method", method) in one]
        return sorted(own, key=lambda options: -self.tried[options].tokens_per_s)

    def _confirm(self) -> None:
        """Evaluate the best on the whole workload."""
        methods = by_method(self.families)
        best = [one for method in methods for one in self.ranked(method)[:CONFIRMED_OF_EACH]]
        wanted = list(dict.fromkeys([*best, *self.ranked()[:CONFIRMED]]))
        found = self.evaluations.figures([Trial(options) for options in wanted])
        self.found = dict(zip(wanted, found, strict=True))

    def screened_ssd(self) -> Options:
        """Return the best SSD configuration with an exact expectation, or one that may have one."""
        own = {one: speed for one, speed in self.screened.items() if ("method", "ssd") in one}
        return max(own, key=own.__getitem__, default=(("method", "ssd"), ("policy", EVEN)))

    def _search(self, families: Sequence[Family]) -> None:
        possible = [family for family in families if self._is_possible(family)]
        if not possible:
            return
        recommended = [self._recommended(family) for family in possible]
        seeds = [one for of in recommended for one in of]
        open_ = sum(one.size for one, of in zip(possible, recommended, strict=True) if not of)
        asked = min(self.asked, int(ASKED * open_))
        estimated(possible, seeds, self._evaluate, max(asked, len(seeds)), self.seed)
        self._descend(possible)

    def _descend(self, families: Sequence[Family]) -> None:
        """Go from the best configuration of a method to a neighbour while there is a better one.

        An option at a time, and along a number in steps that double: a long way over a plain takes
        few evaluations, and ends where no neighbour is better.
        """
        method = families[0].method
        seen: list[Options] = []
        while (start := self.ranked(method)[:1]) != seen:
            seen = start
            for way in ways(families):
                for best in self.ranked(method)[:1]:
                    self._go_along(way, families, best)

    def _go_along(self, way: str | None, families: Sequence[Family], start: Options) -> None:
        """Go along one option from the best configuration as long as it gets better."""
        wanted = along(way, families, start)
        while wanted:
            self._evaluate(wanted)
            (best,) = self.ranked(families[0].method)[:1]
            wanted = beyond(way, families, start, best) if best != start else []
            start = best

    def _is_possible(self, family: Family) -> bool:
        """Return whether any of the first tried of a family can be."""
        return any(not figures.refused for figures in self._evaluate(_first_tried(family)))

    def _recommended(self, family: Family) -> list[Options]:
        """Return the configurations with the best exact expectation.

        Some from all over the family, and from their best one on its neighbours, as far as these
        are better.
        """
        known = self._expected(_spread(family))
        seen: Options | None = None
        while known and (best := max(known, key=known.__getitem__)) != seen:
            seen = best
            known |= self._expected(one for one in neighbours([family], best) if one not in known)
        self.screened |= known
        return sorted(known, key=lambda options: -known[options])[:SEEDS]

    def _expected(self, some: Iterable[Options]) -> dict[Options, float]:
        """Return exact expectations of tokens/s, of those that have one."""
        known = {}
        for options in some:
            # Some are not covered, and others not possible.
            with suppress(ConfigError):
                known[options] = expect(self.evaluations.bench.setup(Trial(options))).tokens_per_s
        return known

    def _evaluate(self, candidates: Iterable[Options]) -> list[Figures]:
        wanted = list(dict.fromkeys(candidates))
        found = self.evaluations.figures([Trial(options, PART) for options in wanted])
        self.tried |= dict(zip(wanted, found, strict=True))
        return found


def _first_tried(family: Family) -> list[Options]:
    """Return a few configurations from all over a family.

    Of a single option the first, second, fourth, ... value: a lookahead beyond some may change
    nothing any more, and no way leads down from such a plain.
    """
    every = list(family)
    if sum(len(values) > 1 for values in family.values.values()) > 1:
        return [every[at * (len(every) - 1) // 3] for at in range(4)]
    return [every[2**power - 1] for power in range(len(every).bit_length())]


def _spread(family: Family) -> list[Options]:
    """Return configurations of a family, not too many, so that every value is among them."""
    step = -(-family.size // EXACT_AT_MOST)
    while gcd(step, family.size) > 1:
        step += 1
    return list(family)[::step]


def by_method(families: Iterable[Family]) -> dict[str, list[Family]]:
    """Return families by their method; one over several methods is several."""
    found: dict[str, list[Family]] = {}
    for family in families:
        for method in family.values["method"]:
            own = Family(family.name, {**family.values, "method": (method,)})
            found.setdefault(str(method), []).append(own)
    return found
