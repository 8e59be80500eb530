"""Service times of a draft that is the target with layers skipped: a share of the target's."""

from dataclasses import dataclass
from typing import Self

from ssdsim.latency.base import Latency, Pass


@dataclass(frozen=True)
class Skipped:
    """The target without some of its layers, on its own devices and with its own cache.

    Attributes
    ----------
    target
        The whole model.
    kept
        Share of a pass's seconds that the layers kept take.

    """

    target: Latency
    kept: float

    @property
    def devices(self) -> int:
        """Those of the target."""
        return self.target.devices

    def seconds(self, work: Pass, batch: int, tokens: int, context: int) -> float:
        """Return the seconds of one pass; see `Latency.seconds`.

        The next verify computes what was left out, so that nothing has to be filled in, and
        prompts are in the cache already.
        """
        if work in {"prefill", "fill"}:
            return 0.0
        return self.kept * self.target.seconds("verify", batch, tokens, context)

    def spread(self, devices: int) -> Self | None:
        """Return the same share of the target over that many devices."""
        target = self.target.spread(devices)
        return type(self)(target, self.kept) if target else None
