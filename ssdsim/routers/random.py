"""Any replica, each as likely as the others."""

from collections.abc import Sequence
from dataclasses import dataclass

from numpy.random import Generator

from ssdsim.routers.base import Router


@dataclass(frozen=True)
class Random(Router):
    """The arrivals of a replica are a share of all, drawn by chance: of Poisson ones Poisson."""

    def start(self, replicas: int, rng: Generator) -> "Drawn":
        """Return a fresh router."""
        return Drawn(replicas, rng)


@dataclass
class Drawn:
    """Draws a replica for every request."""

    replicas: int
    rng: Generator

    def choose(self, prefix: Sequence[int], outstanding: Sequence[int]) -> int:  # noqa: ARG002 - by chance alone
        """Return any."""
        return int(self.rng.integers(self.replicas))
