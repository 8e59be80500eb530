"""Stops below an adaptive confidence (Draft & Verify; Zhang et al. 2023, arXiv 2309.08168)."""

from dataclasses import dataclass, field

from ssdsim.errors import require
from ssdsim.lengths.base import Control, Length, Signal, Stopping
from ssdsim.outcomes import Outcome, Speculation


@dataclass(frozen=True)
class Controller(Length):
    """Stops with the first token whose probability under the draft is below a threshold th.

    After every verify m ← βm + (1-β)·accepted/drafted, from m = 0, and th ← γ·th + (1-γ)·th',
    with th' = th + ε where m is under its target, th where the chain was as long as the lookahead
    allows, else th - ε. One threshold serves all rows of a run.

    Attributes
    ----------
    threshold
        th to begin with; the authors take .8 for greedy decoding and .5 for sampling.
    target
        The share of drafted tokens that shall be accepted.
    step
        ε; 0 leaves the threshold as it is.
    memory, inertia
        β and γ.

    """

    threshold: float = 0.8
    target: float = 0.9
    step: float = 0.01
    memory: float = 0.5
    inertia: float = 0.9

    def __post_init__(self) -> None:
        for name in ("threshold", "target", "step"):
            value = getattr(self, name)
            require(0 <= value <= 1, f"length.{name}", value, "needs a number in [0, 1]")
        for name in ("memory", "inertia"):
            value = getattr(self, name)
            require(0 <= value < 1, f"length.{name}", value, "needs a weight in [0, 1)")

    @property
    def needs(self) -> Signal:
        """The probabilities of drafted tokens."""
        return "confidences"

    def start(self, lookahead: int) -> "Adapting":
        """Return a control with the first threshold."""
        return Adapting(lookahead, self, self.threshold)


@dataclass
class Adapting(Control):
    """A threshold at work, and the share of accepted drafts that it follows."""

    config: Controller
    threshold: float
    matched: float = field(default=0.0, init=False)

    def stopping(self, limit: int) -> Stopping:
        """Return the rule for the chains begun now."""
        return Stopping(limit, floor=self.threshold)

    def observe(self, speculation: Speculation, outcome: Outcome) -> None:
        """Adapt to how a verify ended."""
        if speculation.length:
            beta, gamma = self.config.memory, self.config.inertia
            share = outcome.node / speculation.length
            self.matched = beta * self.matched + (1 - beta) * share
            moved = self.threshold + self._move(speculation.length)
            self.threshold = gamma * self.threshold + (1 - gamma) * moved

    def _move(self, drafted: int) -> float:
        if self.matched < self.config.target:
            return self.config.step
        return 0.0 if drafted == self.lookahead else -self.config.step
