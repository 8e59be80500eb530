"""Branches where a rejection is likeliest (SpecBranch; 2506.01979)."""

from dataclasses import dataclass, field

from numpy.random import Generator

from ssdsim.errors import require
from ssdsim.outcomes import Outcome, Speculation, children, reached
from ssdsim.policies.base import Budget, Policy, Predictor, check_outcomes
from ssdsim.policies.running_frequencies import OutcomeFrequencies

RANKS = 32
"""Candidates that are told apart while it is learnt how often tokens are accepted."""


@dataclass(frozen=True)
class LikeliestRejection(Policy):
    """All of the budget B on two nodes: the branch point, and the end of what was drafted.

    The branch point is where the verify is likeliest to end short of the end, by how often drafted
    tokens of about such a confidence (or at this position) were accepted so far. It gets
    ⌊B·P(rejected there)⌋ of its next candidates, at least one; the end, where everything is
    accepted, gets the others, at least one where B is 2 or more. `length=likeliest_rejection` ends
    chains at the same token.

    Attributes
    ----------
    prior
        How many observations the draft's own probability counts for.

    """

    prior: float = 4.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.prior > 0, "policy.prior", self.prior, "needs a number > 0")

    def start(self, lookahead: int, rng: Generator) -> Predictor:  # noqa: ARG002 - nothing random
        """Return a learner that has seen nothing yet."""
        if self.budget != "verify":
            check_outcomes(self.budget, "policy.budget", self.budget)
        return _Branching(self.budget, OutcomeFrequencies(self.prior, RANKS))


@dataclass
class _Branching:
    budget: Budget
    seen: OutcomeFrequencies = field(repr=False)

    def predict(self, speculation: Speculation, budget: int) -> frozenset[Outcome]:
        if not speculation.length:
            return _first(0, budget)
        point, end, rejected = self._places(speculation)
        branches = min(max(1, int(budget * rejected)), max(1, budget - 1))
        return _first(point, min(branches, budget)) | _first(end, max(0, budget - branches))

    def observe(self, speculation: Speculation, outcome: Outcome) -> None:
        self.seen.see(speculation, outcome)
        self.seen.learn()

    def _places(self, speculation: Speculation) -> tuple[int, int, float]:
        """Return the branch point, the end, and the chance that the point's children are wrong."""
        accepts = [frequency.mean for frequency in self.seen.accepts(speculation)]
        comes, following = reached(speculation.parents, accepts), children(speculation.parents)
        wrong = [max(0.0, 1 - sum(accepts[child - 1] for child in each)) for each in following]
        ends = [chance * share for chance, share in zip(comes, wrong, strict=True)]
        inner = [node for node, each in enumerate(following) if each]
        leaves = [node for node, each in enumerate(following) if not each]
        point, end = max(inner, key=ends.__getitem__), max(leaves, key=comes.__getitem__)
        return point, end, wrong[point]


def _first(node: int, count: int) -> frozenset[Outcome]:
    return frozenset(Outcome(node, rank) for rank in range(count))
