"""Drafts further the longer a round's messages take (optimal stopping; 2606.20591).

A round that takes D whatever is drafted, and c seconds a token, is worth one more token as long as
the chance that it is accepted, with all before it, is above λc: λ tokens/s is what the time could
make otherwise. A longer D lowers λ, and with one chance α a token the length where that is so
grows with ln D / ln(1/α).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import accumulate, islice

from ssdsim.errors import require
from ssdsim.lengths.base import Control, Length, Signal, Stopping
from ssdsim.lengths.estimates import Estimating


@dataclass(frozen=True)
class Delay(Length):
    """Stops once one more token is worth less than the time that it takes.

    λ is the most tokens/s that any length promises at the mean chance so far, by the expected
    seconds of a round with its messages; c is what they grow by a token. A chain ends where its
    chance of being accepted whole, times the mean chance of one more token, is under λc. Where
    drafting is hidden (c = 0), as in SSD, all are drafted.

    Attributes
    ----------
    informed
        How much of a token's chance is about the token itself, 0 to 1: how often tokens of about
        its confidence were accepted so far. The rest is the mean over all tokens; at 0 all chains
        of a round end at the same length.
    prior
        How many tokens the draft's own confidence counts for before frequencies are known.

    """

    informed: float = 1.0
    prior: float = 8.0

    def __post_init__(self) -> None:
        fine = 0 <= self.informed <= 1
        require(fine, "length.informed", self.informed, "needs a share in [0, 1]")
        require(self.prior > 0, "length.prior", self.prior, "needs a number > 0")

    @property
    def needs(self) -> Signal | None:
        """The signal that the chances are told from."""
        return "confidences" if self.informed else None

    def start(self, lookahead: int) -> Control:
        """Return a control that has seen nothing yet."""
        return _Worthwhile(lookahead, self.prior, self.informed)


@dataclass
class _Worthwhile(Estimating):
    """A control at work; `worth` is λc, what a token's chance must come to."""

    informed: float
    worth: float = field(default=0.0, init=False)

    def limit(self, rows: int, seconds: Callable[[int], float]) -> int:  # noqa: ARG002
        K, alpha = self.lookahead, self.overall.mean
        if K < 2:
            return K
        times = [max(seconds(k), 1e-12) for k in range(1, K + 1)]
        tokens = accumulate((alpha**k for k in range(1, K + 1)), initial=1.0)
        rate = max(made / time for made, time in zip(islice(tokens, 1, None), times, strict=True))
        self.worth = rate * (times[-1] - times[0]) / (K - 1)
        return K

    def stopping(self, limit: int) -> Stopping:
        return Stopping(
            limit,
            reach=min(1.0, self.worth / self.overall.mean),
            estimates=self.estimates,
            informed=self.informed,
            mean=self.overall.mean,
        )
