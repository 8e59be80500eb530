"""Poisson arrivals: nobody who comes knows of the others."""

from dataclasses import dataclass
from typing import Any

from numpy.random import Generator
from numpy.typing import NDArray

from ssdsim.workloads.open_loop import RandomArrivals


@dataclass(frozen=True)
class Poisson(RandomArrivals):
    """Requests come independently of each other."""

    def gaps(self, rng: Generator) -> NDArray[Any]:
        """Return the seconds between arrivals, which are exponential."""
        return rng.exponential(1 / self.rate, self.prompts)
