"""The replica with the fewest requests that are not finished."""

from collections.abc import Sequence
from dataclasses import dataclass

from numpy.random import Generator

from ssdsim.routers.base import Router


@dataclass(frozen=True)
class LeastOutstanding(Router):
    """Where fewest wait and run; of several such replicas the first."""

    def start(self, replicas: int, rng: Generator) -> "Fewest":  # noqa: ARG002 - nothing is drawn
        """Return a fresh router."""
        return Fewest()


class Fewest:
    """Compares the replicas' loads."""

    def choose(self, prefix: Sequence[int], outstanding: Sequence[int]) -> int:  # noqa: ARG002 - by load alone
        """Return the first of the least loaded."""
        return min(range(len(outstanding)), key=outstanding.__getitem__)
