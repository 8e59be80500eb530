"""Disaggregated prefill: prompts are computed elsewhere, and their KV cache is handed over."""

from dataclasses import dataclass

from ssdsim.errors import require


@dataclass(frozen=True)
class Disaggregated:
    """Copies of the target that compute prompts alone, and the way from them to the replicas.

    A hand-off takes latency + tokens · token_bytes / bandwidth seconds, and a request has its first
    token when it is over.

    Attributes
    ----------
    instances
        How many copies. They have one queue: each computes as many whole prompts in a pass as the
        budget of a step allows, and one at least.
    latency
        Seconds of a hand-off, however short the prompt.
    token_bytes
        KV cache of one token.
    bandwidth
        Bytes a second of the way; null: as many as wanted.

    """

    instances: int = 1
    latency: float = 0.0
    token_bytes: float = 0.0
    bandwidth: float | None = None

    def __post_init__(self) -> None:
        prefix = "serving.disaggregated"
        right = "needs a number >= 1"
        require(self.instances >= 1, f"{prefix}.instances", self.instances, right)
        for name in ("latency", "token_bytes"):
            require(getattr(self, name) >= 0, f"{prefix}.{name}", getattr(self, name), "needs >= 0")
        wide = self.bandwidth is None or self.bandwidth > 0
        right = "needs bytes a second > 0, or null"
        require(wide, f"{prefix}.bandwidth", self.bandwidth, right)

    def seconds(self, tokens: int) -> float:
        """Return the seconds of handing over the cache of so many tokens."""
        if self.bandwidth is None:
            return self.latency
        return self.latency + tokens * self.token_bytes / self.bandwidth
