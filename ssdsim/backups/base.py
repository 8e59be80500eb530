"""What every backup speculator is: who drafts when the outcome was not in the cache."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

from numpy.random import Generator
from simpy import Event

from ssdsim.decoding.protocol import Row

if TYPE_CHECKING:
    from ssdsim.decoding.session import Session


class Speculating(Protocol):
    """A backup at work in one run."""

    def speculate(self, session: "Session", rows: Sequence[Row]) -> Event:
        """Draft `session.lookahead` tokens for each row; the value is a list of speculations."""
        ...

    def speculate_seconds(self, session: "Session", rows: Sequence[Row]) -> float:
        """Return the seconds that this is expected to take."""
        ...


@runtime_checkable
class Backup(Protocol):
    """The configuration of a backup: a frozen dataclass, one file each in this folder.

    `needs_tokens` says that it reads token ids, which not every acceptance source has.
    """

    needs_tokens: ClassVar[bool]

    def start(self, rng: Generator) -> Speculating:
        """Return a fresh one for one run."""
        ...
