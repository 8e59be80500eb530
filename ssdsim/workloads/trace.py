"""A workload as it was recorded: arrivals and lengths of a trace."""

from dataclasses import dataclass, replace

from ssdsim.errors import require
from ssdsim.workloads.base import Request, Workload
from ssdsim.workloads.trace_files import read_trace


@dataclass(frozen=True, kw_only=True)
class Trace(Workload):
    """The requests of a trace file: Azure's or BurstGPT's CSV, Mooncake's JSON lines, or your own.

    Attributes
    ----------
    prompts
        How many, from the first on; 0: all.
    path
        The file. A plain CSV of your own has the columns arrival (seconds), prompt_tokens and
        output_tokens.
    rate
        Requests a second on average, for which all times are stretched; null: as recorded.
    prefix_tokens
        Tokens of a block that `hash_ids` name: 512 in Mooncake's traces.

    """

    prompts: int = 0
    path: str
    rate: float | None = None
    prefix_tokens: int = 512

    def __post_init__(self) -> None:
        right = "needs a number of requests a second > 0"
        require(self.rate is None or self.rate > 0, "workload.rate", self.rate, right)
        right = "needs a number of tokens >= 1"
        require(self.prefix_tokens >= 1, "workload.prefix_tokens", self.prefix_tokens, right)
        there = len(read_trace(self.path))
        right = f"needs a number from 0 (all) to {there}, which is what the trace has"
        require(0 <= self.prompts <= there, "workload.prompts", self.prompts, right)
        object.__setattr__(self, "prompts", self.prompts or there)
        span = self._recorded()[-1].arrival
        right = f"needs null, the {self.prompts} requests all come at once"
        require(self.rate is None or span > 0, "workload.rate", self.rate, right)

    @property
    def longest_prompt(self) -> int:
        """Tokens of the longest prompt."""
        return max(request.prompt_tokens or 0 for request in self._recorded())

    @property
    def longest_output(self) -> int:
        """Most tokens to decode for one request."""
        return max(request.output_tokens for request in self._recorded())

    def requests(self, seed: int) -> list[Request]:  # noqa: ARG002 - nothing is random here
        """Return the requests as they were recorded."""
        found = self._recorded()
        stretch = 1.0
        if self.rate is not None:
            stretch = (len(found) - 1) / self.rate / found[-1].arrival
        size = self.prefix_tokens
        return [
            replace(request, arrival=request.arrival * stretch, prefix_tokens=size)
            for request in found
        ]

    def _recorded(self) -> tuple[Request, ...]:
        return read_trace(self.path)[: self.prompts]
