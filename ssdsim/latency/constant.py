"""Service times that depend on the kind of pass alone."""

import math
from dataclasses import dataclass
from typing import ClassVar, Self, get_args

from ssdsim.errors import require
from ssdsim.latency.base import Pass


@dataclass(frozen=True)
class Constant:
    """Seconds of each pass, whatever its batch, tokens and context.

    Attributes
    ----------
    verify, step, prefill, glue, fill
        Seconds of a pass; see `ssdsim.latency.base.Pass`. A target never steps and a draft never
        verifies, but what `step` costs the target is what plain decoding costs.
    tree
        Seconds of a draft step over all branches; None where it costs what `step` does.
    devices
        Devices that these times were taken on.
    block
        Tokens of a chain that a drafting pass makes; see `ssdsim.latency.base.block_of`.

    Raises
    ------
    ConfigError
        A time is negative or not finite, or `devices` or `block` is below 1.

    """

    verify: float
    step: float
    prefill: float = 0.0
    glue: float = 0.0
    tree: float | None = None
    fill: float = 0.0
    devices: int = 1
    block: int = 1
    reads_context: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require(self.devices >= 1, "devices", self.devices, "must be at least 1")
        require(self.block >= 1, "block", self.block, "must be at least 1")
        for work in get_args(Pass):
            value = getattr(self, work)
            right = value is None or 0 <= value < math.inf
            require(right, work, value, "must be a finite number of seconds, at least 0")

    def seconds(self, work: Pass, batch: int, tokens: int, context: int) -> float:  # noqa: ARG002 - constant in these
        """Return the seconds of one pass; see `Latency.seconds`."""
        value: float | None = getattr(self, work)
        return self.step if value is None else value

    def spread(self, devices: int) -> Self | None:
        """Return these times where they were taken on that many devices, else None."""
        return self if devices == self.devices else None
