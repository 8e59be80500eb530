"""What every decoding method is: a generator over a session's events."""

from typing import ClassVar, Protocol, runtime_checkable

from ssdsim.latency.base import Latency
from ssdsim.machine import Machine
from ssdsim.session import Session, Wait


@runtime_checkable
class Method(Protocol):
    """The configuration of a method: a frozen dataclass, one file each in this folder.

    `uses` names the options it depends on: "lookahead", "policy", "backup", "tree".
    """

    uses: ClassVar[frozenset[str]] = frozenset()

    @property
    def draft_on(self) -> str | None:
        """Where the draft runs: on its "own" devices, the "target"'s, or None without a draft."""
        return None

    def draft_latency(self, machine: Machine) -> Latency:
        """Return the draft's service times where this method runs it."""
        on_target = self.draft_on == "target"
        return (machine.colocated if on_target else None) or machine.draft

    def decode(self, session: Session) -> Wait:
        """Decode every sequence of the session."""
        ...
