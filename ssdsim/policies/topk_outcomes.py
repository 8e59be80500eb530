"""Predicts the B likeliest outcomes, from the draft's probabilities and frequencies seen so far."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, lru_cache

import numpy as np
from numpy.random import Generator

from ssdsim.errors import require
from ssdsim.outcomes import Outcome, Speculation, Speculator, children, depths, path_to
from ssdsim.policies.base import Budget, Policy, Predictor, check_outcomes
from ssdsim.policies.outcome_frequencies import (
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


@dataclass(frozen=True)
class TopkOutcomes(Policy):
    """Ranks all (k, t*) by estimated probability and keeps the best B.

    P(k, t*) = Π_(j<k) P(j accepted) · P(k rejected) · P(t* | ended at k). Each factor is a running
    frequency: of drafted tokens with about this confidence (or at this position, where
    confidences are unknown), and of candidates with about this share of the draft's probability
    (or of this rank). What the draft itself says is the prior, so the first rounds are sane. In a
    token tree the product goes along the way to a node, which ends there if no child is accepted.

    Attributes
    ----------
    prior
        How many observations the draft's own probability counts for.
    ranks
        Candidates considered at each position.

    """

    prior: float = 4.0
    ranks: int = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.prior > 0, "policy.prior", self.prior, "needs a number > 0")
        require(self.ranks >= 1, "policy.ranks", self.ranks, "needs a number >= 1")

    def start(self, lookahead: int, rng: Generator) -> Predictor:  # noqa: ARG002 - nothing random
        """Return a learner that has seen nothing yet."""
        check_outcomes((lookahead + 1) * self.ranks, "policy.ranks", self.ranks)
        return _Learner(self)


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
class _Learner:
    policy: TopkOutcomes
    accepted: dict[tuple[object, ...], Frequency] = field(default_factory=dict)
    bonus: dict[tuple[Speculator, int], Bins] = field(default_factory=dict)
    endings: dict[tuple[Speculator, Parents, int], _Ending] = field(default_factory=dict)
    shared: dict[tuple[object, ...], frozenset[Outcome]] = field(default_factory=dict)
    rounds: int = 0
    due: int = 1
    budget: Budget = field(init=False)

    def __post_init__(self) -> None:
        self.budget = self.policy.budget

    def predict(self, speculation: Speculation, budget: int) -> frozenset[Outcome]:
        if speculation.candidates:
            return self._best(speculation, budget)
        # Nothing tells this speculation from others of its kind: rank once for many rounds.
        key = (speculation.parents, speculation.speculator, budget)
        found = self.shared.get(key)
        if found is None:
            found = self.shared[key] = self._best(speculation, budget)
        return found

    def observe(self, speculation: Speculation, outcome: Outcome) -> None:
        ending = self._ending(speculation, outcome.node)
        ending.ranks[outcome.rank] += 1
        if speculation.confidences or speculation.candidates:
            ending.learn()
        self.rounds += 1
        if self.rounds == self.due:
            # What 64 rounds have to say counts for little beside hundreds.
            self.due += max(min(self.rounds, 64), self.rounds // 8)
            for ending in self.endings.values():
                ending.learn()
            self.shared.clear()

    def probabilities(self, speculation: Speculation) -> list[tuple[float, int, int]]:
        """Return (P, -node, -rank) of every outcome considered: the larger, the better."""
        found = enumerate(self._ends(speculation))
        return [(P, -node, -rank) for node, of in found for rank, P in enumerate(of.tolist())]

    def _ends(self, speculation: Speculation) -> list[Floats]:
        """Return for every node the chance of each outcome considered that ends there."""
        accepts, reached = self._accepts(speculation), [1.0] * (speculation.length + 1)
        means = self._means(speculation)
        found = []
        for node, following in enumerate(children(speculation.parents)):
            goes_on = [accepts[child - 1].mean for child in following]
            ends = reached[node] * max(0.0, 1 - sum(goes_on))
            found.append(ends * means(node, len(following)))
            for child, chance in zip(following, goes_on, strict=True):
                reached[child] = reached[node] * chance
        return found

    def _means(self, speculation: Speculation) -> Callable[[int, int], Floats]:
        """Return what tells the shares of the candidates after a node with so many children."""

        def means(node: int, children: int) -> Floats:
            bins = self._bins(speculation.speculator, children)
            return bins.means(self._candidates(speculation, node))

        if speculation.candidates:
            return means
        alike = cache(lambda children: means(0, children))
        return lambda _, children: alike(children)

    def _best(self, speculation: Speculation, budget: int) -> frozenset[Outcome]:
        """Return the likeliest outcomes; of equal ones those first in the tree, then in rank."""
        found = self._ends(speculation)
        best = np.argsort(-np.concatenate(found), kind="stable")[:budget]
        outcomes = _outcomes(tuple(map(len, found)))
        return frozenset([outcomes[place] for place in best.tolist()])

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
        accepts, following = self._accepts(speculation), children(speculation.parents)
        path = path_to(speculation.parents, node)
        return _Ending(
            [accepts[child - 1] for at in (0, *path) for child in following[at]],
            [accepts[accepted - 1] for accepted in path],
            self._bins(speculation.speculator, len(following[node])),
            self._candidates(speculation, node),
        )

    def _accepts(self, speculation: Speculation) -> list[Frequency]:
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

    def _frequency(self, key: tuple[object, ...], guess: float) -> Frequency:
        if key not in self.accepted:
            self.accepted[key] = Frequency(guess * self.policy.prior, self.policy.prior)
        return self.accepted[key]

    def _bins(self, speculator: Speculator, children: int) -> Bins:
        """Return how often the bonus token was which candidate, after nodes with such children."""
        key = speculator, children
        if key not in self.bonus:
            self.bonus[key] = Bins(bins_of(self.policy.ranks), self.policy.prior)
        return self.bonus[key]

    def _candidates(self, speculation: Speculation, node: int) -> Candidates:
        if not speculation.candidates:
            return ranked_candidates(self.policy.ranks)
        return known_candidates(speculation.candidates[node], self.policy.ranks)


@lru_cache(maxsize=4096)
def _places(parents: Parents) -> tuple[tuple[int, int], ...]:
    """Return for every drafted node its depth and its place among its siblings."""
    depth, following = depths(parents), children(parents)
    return tuple(
        (depth[node], following[parent + 1].index(node)) for node, parent in enumerate(parents, 1)
    )


@lru_cache(maxsize=256)
def _outcomes(ranks: tuple[int, ...]) -> tuple[Outcome, ...]:
    """Return the outcomes of so many ranks at each node, in order."""
    return tuple(Outcome(node, rank) for node, count in enumerate(ranks) for rank in range(count))
