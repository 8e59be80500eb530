"""Autoregressive decoding: one target pass a token."""

from dataclasses import dataclass
from typing import ClassVar

from ssdsim.session import Session, Wait


@dataclass(frozen=True)
class Autoregressive:
    """One token a pass, no draft."""

    uses: ClassVar[frozenset[str]] = frozenset()
    draft_on: ClassVar[None] = None

    def decode(self, session: Session) -> Wait:
        """Decode every sequence of the session."""
        target = session.target
        while rows := (yield from session.admit()):
            speculations = [target.undrafted(row) for row in rows]
            outcomes = yield target.verify(rows, speculations)
            session.commit(speculations, outcomes)
