"""The replica that has seen most of a prompt's beginning, unless it is overloaded."""

from collections.abc import Sequence
from dataclasses import dataclass

from numpy.random import Generator

from ssdsim.errors import require
from ssdsim.routers.base import Router


@dataclass(frozen=True)
class PrefixAware(Router):
    """Requests with a common beginning go together, as long as the loads are even.

    Attributes
    ----------
    slack
        How many more unfinished requests than the least loaded replica the chosen one may have;
        else the request goes to the least loaded.

    """

    slack: int = 16

    def __post_init__(self) -> None:
        require(self.slack >= 0, "router.slack", self.slack, "needs a number >= 0")

    def start(self, replicas: int, rng: Generator) -> "Seen":  # noqa: ARG002 - nothing is drawn
        """Return a fresh router."""
        return Seen([set() for _ in range(replicas)], self.slack)


@dataclass
class Seen:
    """The blocks that went to each replica so far."""

    blocks: list[set[int]]
    slack: int

    def choose(self, prefix: Sequence[int], outstanding: Sequence[int]) -> int:
        """Return the replica with the longest common beginning; of several the least loaded."""
        least = min(outstanding)
        open_ = [r for r, load in enumerate(outstanding) if load <= least + self.slack]
        chosen = max(open_, key=lambda r: (self._known(r, prefix), -outstanding[r]))
        self.blocks[chosen].update(prefix)
        return chosen

    def _known(self, replica: int, prefix: Sequence[int]) -> int:
        """Return how many of the first blocks went there before."""
        seen = self.blocks[replica]
        return next((at for at, block in enumerate(prefix) if block not in seen), len(prefix))
