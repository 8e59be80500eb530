"""Autoregressive decoding: one target pass a token."""

from dataclasses import dataclass

from ssdsim.methods.base import Method
from ssdsim.session import Session, Wait


@dataclass(frozen=True)
class Autoregressive(Method):
    """One token a pass, no draft."""

    def decode(self, session: Session) -> Wait:
        """Decode every sequence of the session."""
        target = session.target
        while rows := (yield from session.admit()):
            speculations = [target.undrafted(row) for row in rows]
            outcomes = yield target.verify(rows, speculations)
            session.commit(speculations, outcomes)
