"""Verifies as much as fits beside the weights: what costs a verify nearly nothing."""

from dataclasses import dataclass

from ssdsim.cuts.base import Cost, Informed, Pass
from ssdsim.errors import require


@dataclass(frozen=True)
class Fitting(Informed):
    """The likeliest levels of the batch, up to a verify that takes little longer than a bare one.

    Attributes
    ----------
    slack
        How much longer than a verify of one token a row it may take, as a share of that.

    """

    slack: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.slack >= 0, "verify.slack", self.slack, "needs a share >= 0")

    def pays(self, now: Pass, more: Pass, rows: int, cost: Cost) -> bool:  # noqa: ARG002 - whatever it gains
        """Return whether the larger verify still fits."""
        return cost.verify(more.tokens) <= (1 + self.slack) * cost.verify(rows) * (1 + 1e-12)
