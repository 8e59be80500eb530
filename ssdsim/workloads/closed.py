"""The closed workload: all prompts wait from the start."""

from dataclasses import dataclass
from math import exp
from typing import ClassVar

from ssdsim.errors import require
from ssdsim.sampling.streams import stream
from ssdsim.workloads.base import Request, Workload, check_concurrency


@dataclass(frozen=True)
class Closed(Workload):
    """All prompts wait from the start; a finished one makes room for the next.

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
    concurrency
        Clients (`--max-concurrency` of vLLM's `bench serve`): so many prompts are there, and the
        next one comes when one is finished; null: all are there from the start.

    """

    prompt_tokens: int = 128
    output_tokens: int = 256
    output_spread: float = 0.0
    steps: int = 1
    concurrency: int | None = None
    open: ClassVar[bool] = False
    called: ClassVar[str] = "workload"  # files, and the ids of runs, are older than the others

    def __post_init__(self) -> None:
        counts = (("prompts", 1), ("prompt_tokens", 0), ("output_tokens", 1), ("steps", 1))
        for name, least in (*counts, ("output_spread", 0)):
            value = getattr(self, name)
            require(value >= least, f"workload.{name}", value, f"needs a number >= {least}")
        check_concurrency(self.concurrency)
        right = f"needs at most as many as there are prompts, {self.prompts}"
        require(self.steps <= self.prompts, "workload.steps", self.steps, right)

    @property
    def longest_prompt(self) -> int:
        """Tokens of each prompt."""
        return self.prompt_tokens

    @property
    def longest_output(self) -> int:
        """Most tokens to decode for one prompt."""
        return self.output_tokens

    @property
    def most_at_once(self) -> int | None:
        """The clients."""
        return self.concurrency

    def requests(self, seed: int) -> list[Request]:
        """Return all requests; the seed decides their lengths where these differ."""
        return [
            Request(0.0, None, tokens, step=seq * self.steps // self.prompts)
            for seq, tokens in enumerate(self._lengths(seed))
        ]

    def _lengths(self, seed: int) -> list[int]:
        most, spread = self.output_tokens, self.output_spread
        if not spread:
            return [most] * self.prompts
        drawn = stream(seed, "output lengths").standard_normal(self.prompts).tolist()
        return [max(1, round(most * min(1.0, exp(spread * (z - 2))))) for z in drawn]


def closed(workload: Workload) -> Closed:
    """Return a closed workload of the same sizes: the workload itself where it is one."""
    if isinstance(workload, Closed):
        return workload
    return Closed(workload.prompts, workload.longest_prompt, workload.longest_output)
