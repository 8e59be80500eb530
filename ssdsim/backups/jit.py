"""The same draft, just in time: K draft steps between the miss and the verify."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from numpy.random import Generator
from simpy import Event

from ssdsim.decoding.protocol import Row

if TYPE_CHECKING:
    from ssdsim.decoding.session import Session


@dataclass(frozen=True)
class Jit:
    """K draft steps in series, before the verify."""

    needs_tokens: ClassVar[bool] = False

    def start(self, rng: Generator) -> Self:  # noqa: ARG002 - nothing random
        """Return itself: it remembers nothing."""
        return self

    def speculate(self, session: "Session", rows: Sequence[Row]) -> Event:
        """Draft for each row."""
        return session.draft.speculate(rows, session.lookahead, "backup")

    def speculate_seconds(self, session: "Session", rows: Sequence[Row]) -> float:
        """Return the seconds of these steps."""
        return session.draft.speculate_seconds(rows, session.lookahead)
