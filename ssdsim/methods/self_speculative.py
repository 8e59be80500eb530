"""Self-speculative decoding (Draft & Verify; Zhang et al. 2023, arXiv 2309.08168).

The draft is the target with some of its attention and feed-forward sublayers left out. Both are on
the same devices and take turns, so nothing overlaps; with `length=controller` it is the authors'
method.
"""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from ssdsim.errors import require
from ssdsim.latency.base import Latency
from ssdsim.latency.skipped import Skipped
from ssdsim.machine import Machine
from ssdsim.methods.speculative import Speculative


@dataclass(frozen=True)
class SelfSpeculative(Speculative):
    """The target drafts for itself, with layers left out.

    Attributes
    ----------
    kept
        Share of a pass's seconds that the layers kept take: c, which bounds the speedup by 1/c.

    """

    draft_on: Literal["target"] = field(default="target", init=False)
    kept: float = 0.6
    simulated_only: ClassVar[str] = "no target here leaves layers out"

    def __post_init__(self) -> None:
        require(0 < self.kept <= 1, "method.kept", self.kept, "needs a share in (0, 1]")

    def draft_latency(self, machine: Machine) -> Latency:
        """Return the target's own times, as far as layers are kept."""
        return Skipped(machine.target, self.kept)
