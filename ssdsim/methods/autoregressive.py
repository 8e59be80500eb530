"""Autoregressive decoding: one target pass a token."""

from dataclasses import dataclass

from ssdsim.decoding.session import Session, Wait
from ssdsim.methods.base import Method


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
