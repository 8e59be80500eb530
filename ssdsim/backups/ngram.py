"""Prompt lookup: continue as the text did the last time it ended in the same few tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from numpy.random import Generator
from simpy import Event

from ssdsim.decoding.protocol import Row
from ssdsim.drafters import ngram as drafters
from ssdsim.errors import require

if TYPE_CHECKING:
    from ssdsim.decoding.session import Session


@dataclass(frozen=True)
class Ngram:
    """What followed the latest earlier occurrence of the last n tokens, for the largest n found.

    Attributes
    ----------
    longest
        Largest n tried.
    seconds
        What the lookup takes.

    """

    longest: int = 3
    seconds: float = 0.0
    needs_tokens: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require(self.longest >= 1, "backup.longest", self.longest, "needs a number >= 1")
        require(self.seconds >= 0, "backup.seconds", self.seconds, "needs seconds >= 0")

    def start(self, rng: Generator) -> Self:  # noqa: ARG002 - nothing random
        """Return itself: it remembers nothing."""
        return self

    def speculate(self, session: "Session", rows: Sequence[Row]) -> Event:
        """Propose for each row."""
        proposals = [self.look_up(row.tokens, session.lookahead) for row in rows]
        return session.draft.adopt(rows, proposals, session.lookahead, self.seconds)

    def speculate_seconds(self, session: "Session", rows: Sequence[Row]) -> float:  # noqa: ARG002
        """Return the seconds of the lookup, whatever is looked up."""
        return self.seconds

    def look_up(self, tokens: Sequence[int], length: int) -> list[int]:
        """Return up to `length` tokens; none if even the last token never occurred before."""
        return drafters.Ngram(self.longest).look_up(tokens, length)
