"""The prompts that a real run decodes, as token ids."""

from collections.abc import Sequence
from dataclasses import dataclass

from ssdsim.errors import require
from ssdsim.workloads.base import Workload as Simulated
from ssdsim.workloads.closed import Closed
from ssdsim.workloads.poisson import Poisson


@dataclass(frozen=True)
class Workload:
    """Prompts that wait from the start, or come in time.

    Attributes
    ----------
    prompts
        How many: the first ones of the file.
    output_tokens
        Tokens to decode for each.
    stop_at_end
        Whether a token that ends the text ends the sequence.
    prompt_tokens
        Of each, in a scripted run whose acceptance source brings no prompts of its own.
    rate
        Prompts a second, which come independently of each other (Poisson) by the wall clock; null:
        all wait from the start. A simulation of the same seed has the same arrivals.

    """

    prompts: int = 8
    output_tokens: int = 64
    stop_at_end: bool = False
    prompt_tokens: int = 128
    rate: float | None = None

    def __post_init__(self) -> None:
        fine = self.rate is None or self.rate > 0
        require(fine, "workload.rate", self.rate, "needs a number a second > 0, or null")
        for name in ("prompts", "output_tokens", "prompt_tokens"):
            value = getattr(self, name)
            require(value >= 1, f"workload.{name}", value, "needs a number >= 1")

    @property
    def simulated(self) -> Simulated:
        """The workload of a simulation: as many prompts of such lengths that come likewise."""
        sizes = self.prompt_tokens, self.output_tokens
        if self.rate is None:
            return Closed(self.prompts, *sizes)
        return Poisson(self.prompts, self.rate, *sizes)

    def arrivals(self, seed: int) -> list[float]:
        """Return when each prompt comes, seconds from the run's start."""
        return [request.arrival for request in self.simulated.requests(seed)]


@dataclass(frozen=True)
class Task:
    """A prompt made ready: name, kind, token ids, and the field of its record that had the text."""

    name: str
    kind: str
    tokens: Sequence[int]
    field: str | None = None
