"""Drafts the length with the most expected tokens/s (TurboSpec or SmartSpec; Liu et al. 2024)."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate

from ssdsim.errors import require
from ssdsim.lengths.base import Control, Frequency, Length, tested
from ssdsim.outcomes import Outcome, Speculation


@dataclass(frozen=True)
class Goodput(Length):
    """The k in 0..K that promises the most tokens a second; 0 turns speculation off.

    goodput(k) = B·(1 - α^(k+1))/(1 - α) / (seconds of a round that drafts k), with one running α
    and the service times expected of the live batch B. While it is off nothing new is learnt of α;
    it comes on again when the load falls.

    Attributes
    ----------
    alpha
        First guess of α, the chance that a drafted token is accepted.
    prior
        How many drafted tokens the guess counts for.

    """

    alpha: float = 0.7
    prior: float = 32.0

    def __post_init__(self) -> None:
        require(0 <= self.alpha <= 1, "length.alpha", self.alpha, "needs a probability in [0, 1]")
        require(self.prior > 0, "length.prior", self.prior, "needs a number > 0")

    def start(self, lookahead: int) -> Control:
        """Return a control that has seen nothing yet."""
        return _Paying(lookahead, Frequency(self.alpha, self.prior))


@dataclass
class _Paying(Control):
    accepts: Frequency

    def limit(self, rows: int, seconds: Callable[[int], float]) -> int:  # noqa: ARG002
        alpha = self.accepts.mean
        powers = accumulate([1.0] + [alpha] * self.lookahead, lambda a, b: a * b)
        tokens = enumerate(accumulate(powers))
        paid = [(mean / max(seconds(k), 1e-12), -k) for k, mean in tokens]
        return -max(paid)[1]

    def observe(self, speculation: Speculation, outcome: Outcome) -> None:
        self.accepts.see(outcome.node, tested(speculation, outcome))
