"""What every decoding method is: a generator over a session's events."""

from typing import ClassVar, Protocol, runtime_checkable

from ssdsim.latency.base import Latency
from ssdsim.machine import Machine
from ssdsim.session import Session, Wait


@runtime_checkable
class Method(Protocol):
    """The configuration of a method: a frozen dataclass, one file each in this folder.

    `uses` names the options it depends on: "lookahead", "policy", "backup". `drafts_ahead` says
    that its draft goes on past what is being verified: so it never stops to fill its cache.
    """

    uses: ClassVar[frozenset[str]] = frozenset()
    drafts_ahead: ClassVar[bool] = False

    @property
    def draft_on(self) -> str | None:
        """Where the draft runs: on its "own" devices, the "target"'s, or None without a draft."""
        return None

    @property
    def servers(self) -> int:
        """Return how many copies of the target there are, each on devices of its own."""
        return 1

    def draft_latency(self, machine: Machine) -> Latency:
        """Return the draft's service times where this method runs it."""
        on_target = self.draft_on == "target"
        return (machine.colocated if on_target else None) or machine.draft

    def decode(self, session: Session) -> Wait:
        """Decode every sequence of the session."""
        ...
