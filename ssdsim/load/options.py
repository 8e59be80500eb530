"""The options of a load itself."""

from dataclasses import dataclass
from pathlib import Path

from ssdsim.command.own_section import default_folder
from ssdsim.errors import require

SECTION = "load"
LATENCIES = tuple(
    f"{name}_{part}"
    for name in ("ttft", "tpot", "itl", "e2e", "queueing")
    for part in ("mean", "p50", "p90", "p99")
)


@dataclass(frozen=True)
class LoadOptions:
    """How a load goes about it.

    Attributes
    ----------
    points
        Rates to look at, where the command line gives none.
    latency
        Which one is drawn, and ranks configurations.
    good
        Share of the requests that must keep to the limits.
    halvings
        How often the gap between the largest rate within limits and the next one is halved.
    folder
        Where everything goes; "": under outputs/load, named after the question, so that the same
        command goes on from what was simulated.

    """

    points: int = 8
    latency: str = "e2e_mean"
    good: float = 0.9
    halvings: int = 4
    folder: str = ""

    def __post_init__(self) -> None:
        for name, least in (("points", 1), ("halvings", 0)):
            value = getattr(self, name)
            fine = isinstance(value, int) and not isinstance(value, bool) and value >= least
            require(fine, f"load.{name}", value, f"needs a number >= {least}")
        right = f"needs one of {', '.join(LATENCIES)}"
        require(self.latency in LATENCIES, "load.latency", self.latency, right)
        share = isinstance(self.good, int | float) and 0 < self.good <= 1
        require(share, "load.good", self.good, "needs a share above 0, up to 1")
        require(isinstance(self.folder, str), "load.folder", self.folder, "needs a name")

    def out(self, words: list[str]) -> Path:
        """Return the folder of a load with these words."""
        if self.folder:
            return Path(self.folder)
        return default_folder(SECTION, words)
