"""Predicts by what the rule of rejection would draw if the target's early view were the truth."""

from collections.abc import Sequence
from dataclasses import dataclass

from ssdsim.policies.exit_target import ExitTarget


@dataclass(frozen=True)
class ExitResidual(ExitTarget):
    """Ranks outcomes (k, v) of a chain by h_k r_k(v), where r is the normalised (pE - pD)+.

    h_k and pD are as in `exit_target`, and what follows the last token is pE. Exact for a true view
    under the `maximal` coupling; the farther the view is from the truth, the more of r is error.
    """

    def replacing(self, early: Sequence[float], draft: Sequence[float]) -> Sequence[float]:
        """Return (pE - pD)+ of every token."""
        return [max(0.0, p - q) for p, q in zip(early, draft, strict=True)]
