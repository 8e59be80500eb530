"""Gamma arrivals: burstier or more regular than Poisson's, as load generators know them."""

from dataclasses import dataclass
from typing import Any

from numpy.random import Generator
from numpy.typing import NDArray

from ssdsim.errors import require
from ssdsim.workloads.open_loop import RandomArrivals


@dataclass(frozen=True)
class Gamma(RandomArrivals):
    """Gaps between requests have a gamma distribution (`--burstiness` of vLLM's `bench serve`).

    Attributes
    ----------
    burstiness
        The distribution's shape k: 1 is Poisson, less is burstier, more is more regular. The
        coefficient of variation of the gaps is 1/sqrt(k).

    """

    burstiness: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        right = "needs a number > 0"
        require(self.burstiness > 0, "workload.burstiness", self.burstiness, right)

    def gaps(self, rng: Generator) -> NDArray[Any]:
        """Return the seconds between arrivals, of shape k and mean 1/rate."""
        k = self.burstiness
        return rng.gamma(k, 1 / (k * self.rate), self.prompts)
