"""Speculative decoding (Leviathan et al. 2023): draft K tokens in series, then verify them."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from ssdsim.decoding.session import Session, Wait
from ssdsim.methods.base import Method


@dataclass(frozen=True)
class Speculative(Method):
    """Draft and target take turns: K drafted tokens, then one verify.

    Attributes
    ----------
    draft_on
        The draft shares the target's devices, or has its "own" and talks over the link.

    """

    draft_on: Literal["target", "own"] = "target"
    uses: ClassVar[frozenset[str]] = frozenset({"drafter", "lookahead", "length", "tree", "verify"})
    reads_drafts: ClassVar[bool] = False

    def decode(self, session: Session) -> Wait:
        """Decode every sequence of the session."""
        draft, target = session.draft, session.target
        while rows := (yield from session.admit()):
            if session.lookahead:
                yield from session.exchange(rows)
                speculations = yield draft.speculate(rows, session.lookahead, "primary")
            else:
                speculations = [target.undrafted(row) for row in rows]
            speculations = session.cut(rows, speculations)
            outcomes = yield target.verify(rows, speculations)
            session.commit(speculations, outcomes)
