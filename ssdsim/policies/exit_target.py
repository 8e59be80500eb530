"""Predicts by the target's early view: where a chain ends, and by which token."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import nlargest
from typing import ClassVar

from numpy.random import Generator

from ssdsim.outcomes import Early, Outcome, Speculation, chain, reached
from ssdsim.policies.base import Budget, Policy, Predictor

Scored = tuple[float, int, int]
"""The score of an outcome, and its node and rank below 0: of equal ones the first is the best."""


@dataclass(frozen=True)
class ExitTarget(Policy):
    """Ranks outcomes (k, v) of a chain by h_k pE_k(v), with the early distributions pE.

    h_k = Π_(j<k) a_j · (1 - a_k), with a = min(1, pE/pD) of the token sent there, is the chance
    that k tokens are accepted; after the last one nothing can be rejected. pD is what the draft
    sampled from (q' under Saguaro sampling). pE_k is that of all tokens but the one sent.
    """

    budget: Budget = 8
    hears_target: ClassVar[bool] = True

    def start(self, lookahead: int, rng: Generator) -> Predictor:  # noqa: ARG002 - nothing random
        """Return itself: it has nothing to learn."""
        return self

    def predict(self, speculation: Speculation, budget: int) -> frozenset[Outcome]:
        """Return the outcomes of the highest scores; none where the target has said nothing."""
        if speculation.early is None:
            return frozenset()
        best = nlargest(budget, self._scores(speculation, speculation.early))
        return frozenset(Outcome(-node, -rank) for _, node, rank in best)

    def observe(self, speculation: Speculation, outcome: Outcome) -> None:
        """Learn nothing."""

    def replacing(self, early: Sequence[float], draft: Sequence[float]) -> Sequence[float]:  # noqa: ARG002
        """Return weights of the tokens that may replace a rejected one, from both models' view."""
        return early

    def _scores(self, speculation: Speculation, early: Early) -> Iterator[Scored]:
        ends = _ends(early.sent, speculation.confidences)
        for node, likely in enumerate(early.candidates):
            rejected = node < speculation.length
            weights = self.replacing(likely, speculation.candidates[node]) if rejected else likely
            others = early.others[node] if early.others else ()
            named = [*enumerate(weights), *others]  # the draft's own probability of others is tiny
            share = ends[node] / (sum(weight for _, weight in named) or 1.0)
            yield from ((share * weight, -node, -rank) for rank, weight in named)


def _ends(early: Sequence[float], draft: Sequence[float]) -> list[float]:
    """Return the chance that so many tokens are accepted, from both models' view of each.

    Whoever looked a token up instead of drafting it is taken to be sure of it.
    """
    sure = draft or [1.0] * len(early)
    accepts = [min(1.0, p / q) if q else 1.0 for p, q in zip(early, sure, strict=True)]
    comes = reached(chain(len(accepts)), accepts)
    return [come * (1 - a) for come, a in zip(comes, [*accepts, 0.0], strict=True)]
