"""Predicts the outcome that will happen: the upper bound of all policies."""

from dataclasses import dataclass
from typing import ClassVar

from numpy.random import Generator

from ssdsim.errors import ConfigError
from ssdsim.outcomes import Outcome, Speculation
from ssdsim.policies.base import Policy, Predictor


@dataclass(frozen=True)
class Oracle(Policy):
    """Predicts the one outcome that will happen, if its token is a candidate at all."""

    reads_drafts: ClassVar[bool] = False
    budget: int = 1

    def start(self, lookahead: int, rng: Generator) -> Predictor:  # noqa: ARG002 - it needs none
        """Return itself: it has nothing to learn."""
        return self

    def predict(self, speculation: Speculation, budget: int) -> frozenset[Outcome]:  # noqa: ARG002
        """Return the truth."""
        if speculation.truth is None:
            raise ConfigError("policy='oracle': needs a run whose outcomes are known beforehand")
        return frozenset([speculation.truth] if speculation.truth.rank >= 0 else [])

    def observe(self, speculation: Speculation, outcome: Outcome) -> None:
        """Learn nothing."""
