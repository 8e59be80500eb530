"""Predicts the B likeliest outcomes, from the draft's probabilities and frequencies seen so far."""

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.random import Generator

from ssdsim.errors import require
from ssdsim.outcomes import Outcome, Speculation, children, reached
from ssdsim.policies.base import Budget, Policy, Predictor, check_outcomes
from ssdsim.policies.candidate_bins import Floats
from ssdsim.policies.running_frequencies import OutcomeFrequencies


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


@dataclass
class _Learner:
    policy: TopkOutcomes
    shared: dict[tuple[object, ...], frozenset[Outcome]] = field(default_factory=dict)
    rounds: int = 0
    due: int = 1
    budget: Budget = field(init=False)
    seen: OutcomeFrequencies = field(init=False)

    def __post_init__(self) -> None:
        self.budget = self.policy.budget
        self.seen = OutcomeFrequencies(self.policy.prior, self.policy.ranks)

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
        self.seen.see(speculation, outcome)
        self.rounds += 1
        if self.rounds == self.due:
            # What 64 rounds have to say counts for little beside hundreds.
            self.due += max(min(self.rounds, 64), self.rounds // 8)
            self.seen.learn()
            self.shared.clear()

    def probabilities(self, speculation: Speculation) -> list[tuple[float, int, int]]:
        """Return (P, -node, -rank) of every outcome considered: the larger, the better."""
        found = enumerate(self._ends(speculation))
        return [(P, -node, -rank) for node, of in found for rank, P in enumerate(of.tolist())]

    def _ends(self, speculation: Speculation) -> list[Floats]:
        """Return for every node the chance of each outcome considered that ends there."""
        accepts = [frequency.mean for frequency in self.seen.accepts(speculation)]
        comes, means = reached(speculation.parents, accepts), self.seen.means(speculation)
        found = []
        for node, following in enumerate(children(speculation.parents)):
            goes_on = sum([accepts[child - 1] for child in following])
            found.append(comes[node] * max(0.0, 1 - goes_on) * means(node, len(following)))
        return found

    def _best(self, speculation: Speculation, budget: int) -> frozenset[Outcome]:
        """Return the likeliest outcomes; of equal ones those first in the tree, then in rank."""
        found = self._ends(speculation)
        best = np.argsort(-np.concatenate(found), kind="stable")[:budget]
        outcomes = _outcomes(tuple(map(len, found)))
        return frozenset([outcomes[place] for place in best.tolist()])


@lru_cache(maxsize=256)
def _outcomes(ranks: tuple[int, ...]) -> tuple[Outcome, ...]:
    """Return the outcomes of so many ranks at each node, in order."""
    return tuple(Outcome(node, rank) for node, count in enumerate(ranks) for rank in range(count))
