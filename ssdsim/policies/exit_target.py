"""Predicts what the target's early view holds for likely: an early layer under head and norm."""

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import nlargest
from typing import ClassVar

from numpy.random import Generator

from ssdsim.outcomes import Early, Outcome, Speculation, chain, reached
from ssdsim.policies.base import Policy, Predictor

Scored = tuple[float, int, int]
"""The score of an outcome, and its node and rank below 0: of equal ones the first is the best."""


@dataclass(frozen=True)
class ExitTarget(Policy):
    """Ranks outcomes by the chance that the early view alone gives their text, for chains.

    Exact for a true view where a drafted token is accepted if it is the target's own, as in greedy
    decoding and under the `gumbel` coupling.
    """

    hears_target: ClassVar[bool] = True

    def start(self, lookahead: int, rng: Generator) -> Predictor:  # noqa: ARG002 - nothing random
        """Return itself: it has nothing to learn."""
        return self

    def predict(self, speculation: Speculation, budget: int) -> frozenset[Outcome]:
        """Return the outcomes of the highest scores; none where the target has said nothing."""
        if speculation.early is None:
            return frozenset()
        best = nlargest(budget, self.scores(speculation, speculation.early))
        return frozenset(Outcome(-node, -rank) for _, node, rank in best)

    def observe(self, speculation: Speculation, outcome: Outcome) -> None:
        """Learn nothing."""

    def scores(self, speculation: Speculation, early: Early) -> Iterator[Scored]:
        """Yield the score of every outcome."""
        comes = reached(chain(speculation.length), early.sent)
        for node, likely in enumerate(early.candidates):
            yield from ((comes[node] * p, -node, -rank) for rank, p in enumerate(likely))
