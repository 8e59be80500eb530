"""The interface of backups, which draft when the outcome was not in the speculation cache."""

from typing import ClassVar, Protocol, runtime_checkable

from numpy.random import Generator

from ssdsim.decoding.session import Speculating


@runtime_checkable
class Backup(Protocol):
    """The configuration of a backup: a frozen dataclass, one file each in this folder.

    `needs_tokens` says that it reads token ids, which not every acceptance source has.
    """

    needs_tokens: ClassVar[bool]

    def start(self, rng: Generator) -> Speculating:
        """Return a fresh one for one run."""
        ...
