"""Outcomes picked blindly: the lower bound."""

from dataclasses import dataclass

from numpy.random import Generator

from ssdsim.errors import require
from ssdsim.outcomes import Outcome, Speculation
from ssdsim.policies.base import Budget, Policy, Predictor


@dataclass(frozen=True)
class RandomOutcomes(Policy):
    """Different outcomes, each position and each of its candidates as likely as any other.

    Attributes
    ----------
    candidates
        How many ranked candidates a position has to pick from.

    """

    candidates: int = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.candidates >= 1, "policy.candidates", self.candidates, "needs a number >= 1")

    def start(self, lookahead: int, rng: Generator) -> Predictor:  # noqa: ARG002 - any will do
        """Return a predictor that draws from `rng`."""
        return _Random(self.budget, self.candidates, rng)


@dataclass
class _Random:
    budget: Budget
    candidates: int
    rng: Generator

    def predict(self, speculation: Speculation, budget: int) -> frozenset[Outcome]:
        pool = (speculation.length + 1) * self.candidates
        picks = self.rng.choice(pool, size=min(budget, pool), replace=False)
        return frozenset(Outcome(*divmod(int(pick), self.candidates)) for pick in picks)

    def observe(self, speculation: Speculation, outcome: Outcome) -> None:
        """Learn nothing."""
