"""The workload of a simulation: how many prompts, and how many tokens of each."""

from dataclasses import dataclass
from math import exp

from ssdsim.errors import require
from ssdsim.sampling.streams import stream


@dataclass(frozen=True)
class Workload:
    """A closed workload: all prompts wait from the start.

    Attributes
    ----------
    prompts
        How many.
    prompt_tokens
        Tokens of each prompt, where the acceptance source does not bring prompts of its own.
    output_tokens
        Tokens to decode for each; the most, where `output_spread` says that they differ.
    output_spread
        Standard deviation of the logarithm of output lengths. They are log-normal, and
        `output_tokens` cuts them off two standard deviations over their median.
    steps
        Training steps of a rollout workload: prompts come in so many groups of equal size, and
        none is admitted before the group before its own is finished.

    """

    prompts: int = 64
    prompt_tokens: int = 128
    output_tokens: int = 256
    output_spread: float = 0.0
    steps: int = 1

    def __post_init__(self) -> None:
        counts = (("prompts", 1), ("prompt_tokens", 0), ("output_tokens", 1), ("steps", 1))
        for name, least in (*counts, ("output_spread", 0)):
            value = getattr(self, name)
            require(value >= least, f"workload.{name}", value, f"needs a number >= {least}")
        right = f"needs at most as many as there are prompts, {self.prompts}"
        require(self.steps <= self.prompts, "workload.steps", self.steps, right)

    def lengths(self, seed: int) -> list[int]:
        """Return the output tokens of every prompt."""
        most, spread = self.output_tokens, self.output_spread
        if not spread:
            return [most] * self.prompts
        drawn = stream(seed, "output lengths").standard_normal(self.prompts).tolist()
        return [max(1, round(most * min(1.0, exp(spread * (z - 2))))) for z in drawn]

    def step(self, seq: int) -> int:
        """Return the training step that a prompt belongs to."""
        return seq * self.steps // self.prompts
