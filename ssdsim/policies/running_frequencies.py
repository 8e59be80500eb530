"""Learns from how verifies end: how often drafted tokens are accepted, and which token follows."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, lru_cache

from ssdsim.outcomes import Outcome, Speculation, Speculator, children, depths, path_to
from ssdsim.policies.candidate_bins import (
    Bins,
    Candidates,
    Floats,
    Frequency,
    bins_of,
    guessed_share,
    known_candidates,
    ranked_candidates,
)

Parents = tuple[int, ...]


@dataclass(slots=True)
class _Ending:
    """What the end of a verify tells about: tokens tested, those accepted, and the bonus token.

    `ranks` counts the bonus tokens seen there since it was last learnt from.
    """

    tested: list[Frequency]
    accepted: list[Frequency]
    bins: Bins
    candidates: Candidates
    ranks: dict[int, int] = field(default_factory=lambda: defaultdict(int))

    def learn(self) -> None:
        """Add what was seen to the frequencies."""
        times = sum(self.ranks.values())
        if not times:
            return
        for frequency in self.tested:
            frequency.trials += times
        for frequency in self.accepted:
            frequency.happened += times
        self.bins.see(self.candidates, self.ranks)
        self.ranks.clear()


@dataclass
class OutcomeFrequencies:
    """Running frequencies of all that decides an outcome, apart for each speculator.

    Attributes
    ----------
    prior
        How many observations the draft's own probability counts for.
    ranks
        Candidates considered at each position.

    """

    prior: float
    ranks: int
    accepted: dict[tuple[object, ...], Frequency] = field(default_factory=dict)
    bonus: dict[tuple[Speculator, int], Bins] = field(default_factory=dict)
    endings: dict[tuple[Speculator, Parents, int], _Ending] = field(default_factory=dict)

    def see(self, speculation: Speculation, outcome: Outcome) -> None:
        """Count how a verify ended. Of a speculation like many it is learnt later, with those."""
        ending = self._ending(speculation, outcome.node)
        ending.ranks[outcome.rank] += 1
        if speculation.confidences or speculation.candidates:
            ending.learn()

    def learn(self) -> None:
        """Add all that was seen to the frequencies."""
        for ending in self.endings.values():
            ending.learn()

    def accepts(self, speculation: Speculation) -> list[Frequency]:
        """Return for every drafted node how often such a one is accepted, if its parent was."""
        by = speculation.speculator
        if speculation.confidences:
            return [
                self._frequency((by, int(16 * confidence)), confidence)
                for confidence in speculation.confidences
            ]
        return [
            self._frequency((by, depth, place), 0.3 * guessed_share(place - 1) if place else 0.7)
            for depth, place in _places(speculation.parents)
        ]

    def means(self, speculation: Speculation) -> Callable[[int, int], Floats]:
        """Return what tells the shares of the candidates after a node with so many children."""

        def means(node: int, children: int) -> Floats:
            bins = self._bins(speculation.speculator, children)
            return bins.means(self._candidates(speculation, node))

        if speculation.candidates:
            return means
        alike = cache(lambda children: means(0, children))
        return lambda _, children: alike(children)

    def _ending(self, speculation: Speculation, node: int) -> _Ending:
        """Return what a verify that ends at `node` tells about."""
        if speculation.confidences or speculation.candidates:
            return self._new_ending(speculation, node)
        key = speculation.speculator, speculation.parents, node
        found = self.endings.get(key)
        if found is None:
            found = self.endings[key] = self._new_ending(speculation, node)
        return found

    def _new_ending(self, speculation: Speculation, node: int) -> _Ending:
        accepts, following = self.accepts(speculation), children(speculation.parents)
        path = path_to(speculation.parents, node)
        return _Ending(
            [accepts[child - 1] for at in (0, *path) for child in following[at]],
            [accepts[accepted - 1] for accepted in path],
            self._bins(speculation.speculator, len(following[node])),
            self._candidates(speculation, node),
        )

    def _frequency(self, key: tuple[object, ...], guess: float) -> Frequency:
        if key not in self.accepted:
            self.accepted[key] = Frequency(guess * self.prior, self.prior)
        return self.accepted[key]

    def _bins(self, speculator: Speculator, children: int) -> Bins:
        """Return how often the bonus token was which candidate, after nodes with such children."""
        key = speculator, children
        if key not in self.bonus:
            self.bonus[key] = Bins(bins_of(self.ranks), self.prior)
        return self.bonus[key]

    def _candidates(self, speculation: Speculation, node: int) -> Candidates:
        if not speculation.candidates:
            return ranked_candidates(self.ranks)
        return known_candidates(speculation.candidates[node], self.ranks)


@lru_cache(maxsize=4096)
def _places(parents: Parents) -> tuple[tuple[int, int], ...]:
    """Return for every drafted node its depth and its place among its siblings."""
    depth, following = depths(parents), children(parents)
    return tuple(
        (depth[node], following[parent + 1].index(node)) for node, parent in enumerate(parents, 1)
    )
