"""The same draft, just in time: draft steps between the miss and the verify."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from numpy.random import Generator
from simpy import Event

from ssdsim.decoding.protocol import Row
from ssdsim.errors import require

if TYPE_CHECKING:
    from ssdsim.decoding.session import Session


@dataclass(frozen=True)
class Jit:
    """K draft steps in series, before the verify.

    Attributes
    ----------
    depth
        Draft so many tokens instead, K at most; None: K.

    """

    depth: int | None = None
    needs_tokens: ClassVar[bool] = False

    def __post_init__(self) -> None:
        fine = self.depth is None or self.depth >= 0
        require(fine, "backup.depth", self.depth, "needs a number >= 0, or null")

    def start(self, rng: Generator) -> Self:  # noqa: ARG002 - nothing random
        """Return itself: it remembers nothing."""
        return self

    def speculate(self, session: "Session", rows: Sequence[Row]) -> Event:
        """Draft for each row."""
        return session.draft.speculate(rows, self._depth(session), "backup")

    def speculate_seconds(self, session: "Session", rows: Sequence[Row]) -> float:
        """Return the seconds of these steps."""
        return session.draft.speculate_seconds(rows, self._depth(session))

    def _depth(self, session: "Session") -> int:
        return min(session.lookahead if self.depth is None else self.depth, session.lookahead)
