"""Predicts the outcome that will happen in a share of the rounds: a proxy of a known worth."""

from dataclasses import dataclass
from typing import ClassVar

from numpy.random import Generator

from ssdsim.errors import ConfigError, require
from ssdsim.outcomes import Outcome, Speculation
from ssdsim.policies.base import Policy, Predictor, check_outcomes

DECOY = 1 << 20
"""A rank that no bonus token has."""


@dataclass(frozen=True)
class PartialOracle(Policy):
    """Knows the outcome in a share of the rounds, and spends the rest of its budget in vain.

    It stands for a prediction of which no more is known than how often it is right.

    Attributes
    ----------
    share
        Of the rounds.

    """

    reads_drafts: ClassVar[bool] = False
    budget: int = 8
    share: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 <= self.share <= 1, "policy.share", self.share, "needs a share in [0, 1]")

    def start(self, lookahead: int, rng: Generator) -> Predictor:  # noqa: ARG002 - at any K
        """Return one that draws from `rng`."""
        check_outcomes(self.budget, "policy.budget", self.budget)
        return _Known(self.budget, self.share, rng)


@dataclass
class _Known:
    budget: int
    share: float
    rng: Generator

    def predict(self, speculation: Speculation, budget: int) -> frozenset[Outcome]:
        truth, knows = speculation.truth, self.rng.random() < self.share
        if truth is None:
            raise ConfigError(
                "policy='partial_oracle': needs a run whose outcomes are known beforehand"
            )
        right = [truth] if knows and truth.rank >= 0 and budget else []
        decoys = (Outcome(0, DECOY + place) for place in range(budget - len(right)))
        return frozenset([*right, *decoys])

    def observe(self, speculation: Speculation, outcome: Outcome) -> None:
        """Learn nothing."""
