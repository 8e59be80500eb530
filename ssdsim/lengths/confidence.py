"""Stops once a rejection is likely (SpecDec++; Huang, Guo, Wang 2024, arXiv 2405.19715)."""

from dataclasses import dataclass
from typing import Literal

from ssdsim.errors import require
from ssdsim.lengths.base import Control, Length, Signal, Stopping
from ssdsim.lengths.estimates import Estimating


@dataclass(frozen=True)
class Confidence(Length):
    """Stops once 1 - Π a_i > h, a_i the estimated chance that drafted token i is accepted.

    Attributes
    ----------
    threshold
        h: how likely a rejection may get before drafting stops; .7 served all data sets there.
    least
        Tokens drafted in any case (as far as the lookahead goes).
    estimate
        Where a_i comes from: how often tokens of about this confidence of the "draft"'s were
        accepted so far, or an ideal "head" that knows min(1, p/q), which only a simulation has.
    informed
        How much of the estimate is about the token itself, 0 to 1; the rest is the mean over all
        tokens so far. 0 is uninformative: all chains end at the same length.
    prior
        How many tokens the draft's own confidence counts for before frequencies are known.

    """

    threshold: float = 0.7
    least: int = 2
    estimate: Literal["draft", "head"] = "draft"
    informed: float = 1.0
    prior: float = 8.0

    def __post_init__(self) -> None:
        fine = 0 <= self.threshold < 1
        require(fine, "length.threshold", self.threshold, "needs a probability in [0, 1)")
        require(self.least >= 1, "length.least", self.least, "needs a number >= 1")
        fine = 0 <= self.informed <= 1
        require(fine, "length.informed", self.informed, "needs a share in [0, 1]")
        require(self.prior > 0, "length.prior", self.prior, "needs a number > 0")

    @property
    def needs(self) -> Signal | None:
        """The signal that the estimates are made from."""
        if not self.informed:
            return None
        return "chances" if self.estimate == "head" else "confidences"

    def start(self, lookahead: int) -> Control:
        """Return a controller that has seen nothing yet."""
        return _Unlikely(lookahead, self.prior, self)


@dataclass
class _Unlikely(Estimating):
    config: Confidence

    def stopping(self, limit: int) -> Stopping:
        config = self.config
        return Stopping(
            limit,
            least=config.least,
            reach=1 - config.threshold,
            estimates=self.estimates if config.estimate == "draft" else (),
            informed=config.informed,
            mean=self.overall.mean,
            signal=config.needs or "confidences",
        )
