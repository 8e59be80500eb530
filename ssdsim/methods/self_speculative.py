"""Self-speculative decoding (Draft & Verify; Zhang et al. 2023, arXiv 2309.08168).

The draft is the target with some of its attention and feed-forward sublayers left out. Both are on
the same devices and take turns, so nothing overlaps; with `length=controller` it is the authors'
method. A simulation is told how long such a draft takes, real models which sublayers it lacks.
"""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from ssdsim.acceptance.base import Acceptance
from ssdsim.errors import require
from ssdsim.latency.base import Latency
from ssdsim.latency.machine import Machine
from ssdsim.latency.skipped import Skipped
from ssdsim.methods.speculative import Speculative


@dataclass(frozen=True)
class SelfSpeculative(Speculative):
    """The target drafts for itself, with layers left out.

    Attributes
    ----------
    kept
        Share of a pass's seconds that the layers kept take: c, which bounds the speedup by 1/c.
        On real models it is measured.
    skipped_attention, skipped_mlp
        Layers, from 0, whose attention and whose MLP a real draft leaves out. Both null: those
        found best for the target.

    """

    draft_on: Literal["target"] = field(default="target", init=False)
    uses: ClassVar[frozenset[str]] = frozenset({"lookahead", "length", "tree"})
    kept: float = 0.6
    skipped_attention: tuple[int, ...] | None = None
    skipped_mlp: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        require(0 < self.kept <= 1, "method.kept", self.kept, "needs a share in (0, 1]")
        for name in ("skipped_attention", "skipped_mlp"):
            layers = getattr(self, name) or ()
            once = len({*layers}) == len(layers) and all(layer >= 0 for layer in layers)
            require(once, f"method.{name}", list(layers), "needs numbers of layers, each once")

    def stands_for(self, acceptance: Acceptance) -> str:  # noqa: ARG002 - whatever it is
        """Return which tokens a draft's acceptance is taken for here."""
        return "the tokens of the target with layers left out"

    def draft_latency(self, machine: Machine) -> Latency:
        """Return the target's own times, as far as layers are kept."""
        return Skipped(machine.target, self.kept)
