"""Predicts the B likeliest outcomes, from the draft's probabilities and frequencies seen so far."""

from dataclasses import dataclass, field
from heapq import nlargest
from math import log2

from numpy.random import Generator

from ssdsim.errors import require
from ssdsim.outcomes import Outcome, Speculation
from ssdsim.policies.base import Budget, Policy, Predictor, check_outcomes


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
class _Frequency:
    """How often something happened, starting from a prior guess."""

    happened: float
    trials: float

    def see(self, happened: bool) -> None:
        self.happened += happened
        self.trials += 1

    @property
    def mean(self) -> float:
        return self.happened / self.trials


Key = tuple[object, ...]


@dataclass
class _Learner:
    policy: TopkOutcomes
    seen: dict[Key, _Frequency] = field(default_factory=dict)
    shared: dict[Key, frozenset[Outcome]] = field(default_factory=dict)
    rounds: int = 0

    @property
    def budget(self) -> Budget:
        return self.policy.budget

    def predict(self, speculation: Speculation, budget: int) -> frozenset[Outcome]:
        if speculation.candidates:
            return self._best(speculation, budget)
        # Nothing tells this speculation from others of its kind: rank once for many rounds.
        key = (speculation.parents, speculation.speculator, budget)
        if key not in self.shared:
            self.shared[key] = self._best(speculation, budget)
        return self.shared[key]

    def observe(self, speculation: Speculation, outcome: Outcome) -> None:
        way = {0, *speculation.path_to(outcome.node)}
        for node in sorted(way):
            for child in speculation.children(node):
                self._accepts(speculation, child).see(child in way)
        for rank, chance in enumerate(self._chances(speculation, outcome.node)):
            chance.see(rank == outcome.rank)
        self.rounds += 1
        if self.rounds & (self.rounds - 1) == 0 or self.rounds % 64 == 0:
            self.shared.clear()

    def probabilities(self, speculation: Speculation) -> list[tuple[float, int, int]]:
        """Return (P, -node, -rank) of every outcome considered: the larger, the better."""
        scored, reached = [], [1.0] * (speculation.length + 1)
        for node in range(speculation.length + 1):
            following = speculation.children(node)
            goes_on = [self._accepts(speculation, child).mean for child in following]
            ends = reached[node] * max(0.0, 1 - sum(goes_on))
            chances = self._chances(speculation, node)
            scored += [(ends * chance.mean, -node, -rank) for rank, chance in enumerate(chances)]
            for child, chance in zip(following, goes_on, strict=True):
                reached[child] = reached[node] * chance
        return scored

    def _best(self, speculation: Speculation, budget: int) -> frozenset[Outcome]:
        best = nlargest(budget, self.probabilities(speculation))
        return frozenset(Outcome(-node, -rank) for _, node, rank in best)

    def _accepts(self, speculation: Speculation, node: int) -> _Frequency:
        """Return how often such a node is accepted, where its parent was."""
        if not speculation.confidences:
            siblings = speculation.children(speculation.parents[node - 1] + 1)
            place = (speculation.depth(node), siblings.index(node))
            guess = 0.3 * _share(place[1] - 1) if place[1] else 0.7
            return self._frequency(("accept", speculation.speculator, place), guess)
        confidence = speculation.confidences[node - 1]
        return self._frequency(("accept", speculation.speculator, int(16 * confidence)), confidence)

    def _chances(self, speculation: Speculation, node: int) -> list[_Frequency]:
        """Return how often the bonus token is each of the candidates, where it ends at `node`."""
        kind = ("bonus", speculation.speculator, len(speculation.children(node)))
        if not speculation.candidates:
            guesses = [_share(rank) for rank in range(self.policy.ranks)]
            return [self._frequency((*kind, rank), guess) for rank, guess in enumerate(guesses)]
        candidates = speculation.candidates[node][: self.policy.ranks]
        total = sum(candidates) or 1.0
        shares = [max(candidate / total, 1e-9) for candidate in candidates]
        return [self._frequency((*kind, int(-2 * log2(share))), share) for share in shares]

    def _frequency(self, key: Key, guess: float) -> _Frequency:
        if key not in self.seen:
            self.seen[key] = _Frequency(guess * self.policy.prior, self.policy.prior)
        return self.seen[key]


def _share(rank: int) -> float:
    """Guess how often the bonus token is the candidate of this rank."""
    return float(0.5 / (rank + 1) ** 1.5)
