"""A decoding method for calibration: each pass is timed alone and beside the other model's."""

from dataclasses import dataclass
from itertools import cycle
from typing import ClassVar, Literal

from ssdsim.decoding.protocol import Row, Tree
from ssdsim.decoding.session import Session, Wait
from ssdsim.methods.base import Method
from ssdsim.outcomes import Speculation


@dataclass(frozen=True)
class Probe(Method):
    """SSD's passes, in turn each alone and as SSD runs them.

    A round drafts a chain, verifies it, and grows a tree for the outcomes that the policy
    predicts, which nothing then uses. Three rounds take turns: in two of them the target is idle
    while the draft works and the other way round, the tree being grown to its full depth in one
    and by a single step in the other, which tells the glue pass from the steps; in the third
    verify and tree lie beside each other as in SSD.
    """

    uses: ClassVar[frozenset[str]] = frozenset({"lookahead", "policy"})
    draft_on: ClassVar[Literal["own"]] = "own"

    def decode(self, session: Session) -> Wait:
        """Decode every sequence of the session."""
        rounds = cycle([(True, session.lookahead), (False, session.lookahead), (True, 1)])
        while rows := (yield from session.admit()):
            apart, depth = next(rounds)
            drafted = yield session.draft.speculate(rows, session.lookahead, "primary")
            for row, speculation in zip(rows, drafted, strict=True):
                row.cached = speculation
            verify = session.target.verify(rows, drafted)
            if apart:
                yield verify
            forked = session.draft.fork(rows, drafted)
            if forked is not None:
                drafted = yield forked
            tree = _tree(session, rows, drafted, depth)
            if apart:
                yield from _grown(tree)
            outcomes = yield verify
            yield from _grown(tree)
            session.commit(drafted, outcomes)


def _grown(tree: Tree) -> Wait:
    end = tree.wait([])
    if end is not None:
        yield end


def _tree(session: Session, rows: list[Row], drafted: list[Speculation], depth: int) -> Tree:
    budget = session.policy.budget
    assert budget != "verify", "probes grow trees of a known size"
    predictions = [session.policy.predict(speculation, budget) for speculation in drafted]
    return session.draft.prespeculate(rows, predictions, depth)
