"""Random tokens: instant, and hardly ever right."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from numpy.random import Generator
from simpy import Event

from ssdsim.decoding.protocol import Row
from ssdsim.decoding.session import Speculating
from ssdsim.errors import require

if TYPE_CHECKING:
    from ssdsim.decoding.session import Session


@dataclass(frozen=True)
class Random:
    """Tokens drawn uniformly from the vocabulary.

    Attributes
    ----------
    seconds
        What proposing takes.

    """

    seconds: float = 0.0
    needs_tokens: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require(self.seconds >= 0, "backup.seconds", self.seconds, "needs seconds >= 0")

    def start(self, rng: Generator) -> Speculating:
        """Return one that draws from `rng`."""
        return _Random(self.seconds, rng)


@dataclass
class _Random:
    seconds: float
    rng: Generator

    def speculate(self, session: "Session", rows: Sequence[Row]) -> Event:
        K, vocabulary = session.lookahead, session.draft.vocabulary
        proposals = [
            self.rng.integers(vocabulary, size=K).tolist() if vocabulary else [] for _ in rows
        ]
        return session.draft.adopt(rows, proposals, K, self.seconds)

    def speculate_seconds(self, session: "Session", rows: Sequence[Row]) -> float:  # noqa: ARG002
        return self.seconds
