"""MineDraft (arXiv 2603.18016): two half batches take turns, one is verified while one is drafted.

Nothing is predicted: drafting hides behind the verify of other rows, so that a turn takes the
longer of the two. A row is verified in every second turn.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from ssdsim.decoding.protocol import Row
from ssdsim.decoding.session import Session, Wait
from ssdsim.methods.base import Method


@dataclass(frozen=True)
class Minedraft(Method):
    """Half of the rows are verified while the other half is drafted, with a barrier behind both.

    2·max(D, V) seconds a round, where D and V are those of half a batch: never more than twice as
    fast as speculative decoding of half a batch, which takes D + V. One row alone is decoded
    speculatively. Where rows finish, the halves are evened out by drafting at most half of what
    is live.
    """

    uses: ClassVar[frozenset[str]] = frozenset({"drafter", "lookahead", "length", "tree", "verify"})
    draft_on: ClassVar[Literal["own"]] = "own"
    reads_drafts: ClassVar[bool] = False

    def round_seconds(self, draft: float, verify: float) -> float:
        """Return what a turn takes: drafting and verifying go on side by side."""
        return max(draft, verify)

    def decode(self, session: Session) -> Wait:
        """Decode every sequence of the session."""
        while rows := (yield from session.admit()):
            drafted = [row for row in rows if row.cached is not None]
            others = [row for row in rows if row.cached is None]
            yield from _turn(session, drafted, others[: (len(rows) + 1) // 2])


def _turn(session: Session, drafted: Sequence[Row], others: Sequence[Row]) -> Wait:
    """Verify some rows and draft others meanwhile."""
    draft, target = session.draft, session.target
    session.limit(others)
    drafting = others and session.lookahead
    if drafting:
        yield from session.exchange(others)
    speculations = session.cut(drafted, [row.cached for row in drafted if row.cached is not None])
    verify = target.verify(drafted, speculations) if drafted else None
    fresh = draft.speculate(others, session.lookahead, "primary") if drafting else None
    if verify is not None:
        session.commit(speculations, (yield verify), rows=drafted)
    found = (yield fresh) if fresh is not None else [target.undrafted(row) for row in others]
    for row, speculation in zip(others, found, strict=True):
        row.cached = speculation
