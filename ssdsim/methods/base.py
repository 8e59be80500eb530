"""What every decoding method is: a generator over a session's events."""

from typing import ClassVar, Protocol, runtime_checkable

from ssdsim.session import Session, Wait


@runtime_checkable
class Method(Protocol):
    """The configuration of a method: a frozen dataclass, one file each in this folder.

    `uses` names the options it depends on: "lookahead", "policy", "backup".
    `draft_on` says where its draft runs: "own" devices, the "target"'s, or None without a draft.
    """

    uses: ClassVar[frozenset[str]]

    @property
    def draft_on(self) -> str | None:
        """Where the draft runs."""
        ...

    def decode(self, session: Session) -> Wait:
        """Decode every sequence of the session."""
        ...
