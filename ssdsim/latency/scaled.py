"""Service times of another model, times a factor, as of a faster or a slower one."""

from dataclasses import dataclass, field
from typing import Any

from ssdsim.errors import require
from ssdsim.latency.base import Latency, Pass, block_of, reads_context


@dataclass(frozen=True)
class Scaled:
    """Service times times a factor.

    Attributes
    ----------
    latency
        The times.
    factor
        On all of them.
    slope
        On what a verify of more than one token a row takes longer than one of one.

    """

    latency: Latency
    factor: float = 1.0
    slope: float = 1.0
    known: dict[Any, float] = field(default_factory=dict, init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("factor", "slope"):
            value = getattr(self, name)
            require(value > 0, name, value, "needs a factor above 0")

    @property
    def devices(self) -> int:
        """Devices this model is spread over."""
        return self.latency.devices

    @property
    def block(self) -> int:
        """Tokens that a drafting pass makes."""
        return block_of(self.latency)

    @property
    def reads_context(self) -> bool:
        """Whether seconds may depend on the context."""
        return reads_context(self.latency)

    def seconds(self, work: Pass, batch: int, tokens: int, context: int) -> float:
        """Return the seconds of one pass; see `Latency.seconds`."""
        key = (work, batch, tokens, context)
        if key not in self.known:
            self.known[key] = self._seconds(*key)
        return self.known[key]

    def spread(self, devices: int) -> "Scaled | None":
        """Return the same model over that many devices; None where it cannot tell."""
        found = self.latency.spread(devices)
        return None if found is None else Scaled(found, self.factor, self.slope)

    def _seconds(self, work: Pass, batch: int, tokens: int, context: int) -> float:
        own = self.latency.seconds(work, batch, tokens, context)
        if work == "verify" and self.slope != 1 and tokens > batch:
            least = self.latency.seconds(work, batch, batch, context)
            own = least + self.slope * (own - least)
        return self.factor * own
