"""Stops at the token where a rejection is likeliest (SpecBranch; 2506.01979)."""

from dataclasses import dataclass
from typing import Literal

from ssdsim.errors import require
from ssdsim.lengths.base import BINS, Control, Length, Signal, Stopping
from ssdsim.lengths.estimates import Estimating


@dataclass(frozen=True)
class LikeliestRejection(Length):
    """Ends a chain with its first token that is likelier to be rejected than `chance` allows.

    So it is one token where the draft is lost, all of the lookahead where it is sure, and up to the
    unsure one in between: the three answers of SpecBranch's head. `policy=likeliest_rejection`
    branches there.

    Attributes
    ----------
    chance
        A token that is accepted with less than this is where to branch.
    estimate
        Who tells: how often tokens of about this confidence of the "draft"'s were accepted so far,
        or an ideal "head" that knows min(1, p/q), which only a simulation has.
    prior
        How many tokens the draft's own confidence counts for before frequencies are known.

    """

    chance: float = 0.5
    estimate: Literal["draft", "head"] = "draft"
    prior: float = 8.0

    def __post_init__(self) -> None:
        fine = 0 <= self.chance <= 1
        require(fine, "length.chance", self.chance, "needs a probability in [0, 1]")
        require(self.prior > 0, "length.prior", self.prior, "needs a number > 0")

    @property
    def needs(self) -> Signal:
        """What tells how likely a token is to be accepted."""
        return "chances" if self.estimate == "head" else "confidences"

    def start(self, lookahead: int) -> Control:
        """Return a control that has seen nothing yet."""
        return _Branching(lookahead, self.prior, self)


@dataclass
class _Branching(Estimating):
    config: LikeliestRejection

    def stopping(self, limit: int) -> Stopping:
        learned = self.config.estimate == "draft"
        floor = self._sure() if learned else self.config.chance
        return Stopping(limit, floor=floor, signal=self.config.needs)

    def _sure(self) -> float:
        """Return the confidence from which on tokens were accepted often enough."""
        unsure = [at for at, chance in enumerate(self.estimates) if chance < self.config.chance]
        return (max(unsure, default=-1) + 1) / BINS
