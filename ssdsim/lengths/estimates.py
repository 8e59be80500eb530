"""What confidences of drafted tokens are worth: learnt from how verifies end."""

from dataclasses import dataclass, field

from ssdsim.lengths.base import BINS, Control, Frequency, bin_of, tested
from ssdsim.outcomes import Outcome, Speculation


@dataclass
class Estimating(Control):
    """A control that learns how often drafted tokens are accepted, by their confidence.

    Attributes
    ----------
    prior
        How many tokens the draft's own confidence counts for.
    overall, binned
        Of all tokens, and of those of about the same confidence.

    """

    prior: float
    overall: Frequency = field(init=False)
    binned: list[Frequency] = field(init=False)

    def __post_init__(self) -> None:
        self.overall = Frequency(0.7, self.prior)
        self.binned = [Frequency((at + 0.5) / BINS, self.prior) for at in range(BINS)]

    @property
    def estimates(self) -> tuple[float, ...]:
        """The chance of a token, by bins of its confidence."""
        return tuple(known.mean for known in self.binned)

    def observe(self, speculation: Speculation, outcome: Outcome) -> None:
        """Count the tokens that a verify decided on."""
        for at in range(tested(speculation, outcome)):
            self.overall.see(at < outcome.node)
        for at, confidence in enumerate(speculation.confidences[: tested(speculation, outcome)]):
            self.binned[bin_of(confidence)].see(at < outcome.node)
