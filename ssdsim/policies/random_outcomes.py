"""Predicts outcomes at random: the lower bound of all policies."""

from dataclasses import dataclass
from typing import ClassVar

from numpy.random import Generator

from ssdsim.errors import require
from ssdsim.outcomes import Outcome, Speculation
from ssdsim.policies.base import Budget, Policy, Predictor, check_outcomes

MOST_CANDIDATES = 2**32
"""Random streams draw from as many as 64 bits can count, at 4096 nodes."""


@dataclass(frozen=True)
class RandomOutcomes(Policy):
    """Different outcomes, each position and each of its candidates as likely as any other.

    Attributes
    ----------
    candidates
        How many ranked candidates a position has to pick from.

    """

    reads_drafts: ClassVar[bool] = False
    candidates: int = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        fine = 1 <= self.candidates <= MOST_CANDIDATES
        right = f"needs a number from 1 to {MOST_CANDIDATES}"
        require(fine, "policy.candidates", self.candidates, right)

    def start(self, lookahead: int, rng: Generator) -> Predictor:
        """Return a predictor that draws from `rng`."""
        if self.budget != "verify":
            picked = min(self.budget, (lookahead + 1) * self.candidates)
            check_outcomes(picked, "policy.budget", self.budget)
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
