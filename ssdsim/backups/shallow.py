"""The same draft, just in time, for fewer tokens: a miss holds the verify up less."""

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
class Shallow:
    """A few draft steps in series, before the verify.

    Attributes
    ----------
    depth
        How many, K at most.

    """

    depth: int = 2
    needs_tokens: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require(self.depth >= 0, "backup.depth", self.depth, "needs a number >= 0")

    def start(self, rng: Generator) -> Self:  # noqa: ARG002 - nothing random
        """Return itself: it remembers nothing."""
        return self

    def speculate(self, session: "Session", rows: Sequence[Row]) -> Event:
        """Draft for each row."""
        return session.draft.speculate(rows, min(self.depth, session.lookahead), "backup")

    def speculate_seconds(self, session: "Session", rows: Sequence[Row]) -> float:
        """Return the seconds of these steps."""
        return session.draft.speculate_seconds(rows, min(self.depth, session.lookahead))
