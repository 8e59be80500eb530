"""One replica after another."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle

from numpy.random import Generator

from ssdsim.routers.base import Router


@dataclass(frozen=True)
class RoundRobin(Router):
    """The replicas in turn."""

    def start(self, replicas: int, rng: Generator) -> "InTurn":  # noqa: ARG002 - nothing is drawn
        """Return a fresh router."""
        return InTurn(replicas)


class InTurn:
    """Goes round the replicas."""

    def __init__(self, replicas: int) -> None:
        self.turn = cycle(range(replicas))

    def choose(self, prefix: Sequence[int], outstanding: Sequence[int]) -> int:  # noqa: ARG002 - in turn
        """Return the next one."""
        return next(self.turn)
