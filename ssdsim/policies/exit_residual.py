"""Predicts rejections and what replaces the token, from the early view and the draft's own."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ssdsim.outcomes import Early, Speculation, chain, reached
from ssdsim.policies.exit_target import ExitTarget, Scored


@dataclass(frozen=True)
class ExitResidual(ExitTarget):
    """Ranks outcomes by h_k r_k(v), for chains.

    h_k = Π_(j<k) a_j · (1 - a_k) with a = min(1, pE/pD) of the token sent is the chance to end
    after k tokens, and r_k ∝ (pE - pD)+ what the rule of rejection draws from then; after the last
    token it is pE. Exact for a true view under the `maximal` coupling.
    """

    def scores(self, speculation: Speculation, early: Early) -> Iterator[Scored]:
        """Yield the score of every outcome."""
        accepts = [
            min(1.0, p / q) if q else 1.0
            for p, q in zip(early.sent, speculation.confidences, strict=True)
        ]
        comes = reached(chain(speculation.length), accepts)
        ends = [come * (1 - a) for come, a in zip(comes, [*accepts, 0.0], strict=True)]
        for node, likely in enumerate(early.candidates):
            last = node == speculation.length
            left = likely if last else _residual(likely, speculation.candidates[node])
            yield from ((ends[node] * p, -node, -rank) for rank, p in enumerate(left))


def _residual(p: Sequence[float], q: Sequence[float]) -> list[float]:
    """Return (p - q)+, normalised where anything is left."""
    excess = [max(0.0, one - other) for one, other in zip(p, q, strict=True)]
    total = sum(excess)
    return [value / total for value in excess] if total else excess
