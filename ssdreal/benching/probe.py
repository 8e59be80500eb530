"""A method that decodes in order to take times: every pass alone, and passes beside each other."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from ssdsim.outcomes import Speculation
from ssdsim.protocol import Row, Tree
from ssdsim.session import Session, Wait


@dataclass(frozen=True)
class Probe:
    """SSD's passes, in turn each alone and as SSD runs them.

    A round drafts a chain, verifies it, and grows a tree for the outcomes that the policy
    predicts, which nothing then uses. In every other round the target is idle while the draft
    works and the other way round; in the rest chain, verify and tree lie as in SSD.
    """

    uses: ClassVar[frozenset[str]] = frozenset({"lookahead", "policy"})
    draft_on: ClassVar[Literal["own"]] = "own"

    def decode(self, session: Session) -> Wait:
        """Decode every sequence of the session."""
        apart = False
        while rows := (yield from session.admit()):
            drafted = yield session.draft.speculate(rows, session.lookahead, "primary")
            for row, speculation in zip(rows, drafted, strict=True):
                row.cached = speculation
            verify = session.target.verify(rows, drafted)
            if apart:
                yield verify
            drafted = yield session.draft.fork(rows, drafted)
            tree = _tree(session, rows, drafted)
            outcomes = yield verify
            yield tree.wait([])
            session.commit(drafted, outcomes)
            for speculation, outcome in zip(drafted, outcomes, strict=True):
                session.policy.observe(speculation, outcome)
            apart = not apart


def _tree(session: Session, rows: list[Row], drafted: list[Speculation]) -> Tree:
    budget = session.policy.budget
    if budget == "verify":
        verify = session.target.verify_seconds(rows, session.lookahead)
        budget = session.draft.branches_within(verify, rows, session.lookahead)
    predictions = [session.policy.predict(speculation, budget) for speculation in drafted]
    return session.draft.prespeculate(rows, predictions, session.lookahead)
