"""The arguments with which a worker process is started."""

from dataclasses import dataclass
from typing import Literal

from ssdreal.places.places import Place, Role

Passes = Literal["graph", "eager"]


@dataclass(frozen=True)
class Hiring:
    """The arguments with which a worker is started.

    Attributes
    ----------
    role
        "target" or "draft".
    model, target
        Names of its model, and of the target whose embedding a draft may share.
    dtype, device
        Of the weights.
    together
        Whether the other worker is to be in the same process.
    passes
        How a GPU is told to compute passes: as a graph each, or operation by operation.
    polls
        Whether who waits for a message may keep a core busy: nobody else needs it.
    others
        Where a sharded target's other ranks run.
    vocabulary
        Token ids that both models of the pair have rows for; None: all that this one has.

    """

    role: Role
    model: str
    target: str
    dtype: str
    device: str
    together: bool = False
    passes: Passes = "graph"
    polls: bool = False
    others: tuple[Place, ...] = ()
    vocabulary: int | None = None
