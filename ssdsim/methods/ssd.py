"""Speculative speculative decoding (Kumar, Dao, May 2026, arXiv 2603.03251).

While the target verifies a round, the draft predicts how that may end and drafts for each
predicted outcome. If the real outcome is among them, the next speculation is there at once.
"""

from dataclasses import dataclass
from operator import attrgetter
from typing import ClassVar, Literal

from ssdsim.decoding.protocol import Row
from ssdsim.decoding.session import Session, Wait
from ssdsim.errors import require
from ssdsim.methods.base import Method
from ssdsim.outcomes import Outcome, Speculation

_cached = attrgetter("cached")


@dataclass(frozen=True)
class Ssd(Method):
    """The draft speculates on outcomes while the target verifies (the Saguaro algorithm).

    Attributes
    ----------
    on_outcome
        What to do when the outcome arrives before all branches are drafted: `wait` for them (as
        the authors' engine does), `prune` the losing ones, or `truncate` the winning one.
    redraft
        Which rows the backup drafts when a row of the batch missed: the "missing" ones, or
        "all" (as the authors' engine does).
    drafts
        How many drafts, on devices of their own, split the speculation cache: outcomes are dealt
        out among them, and each reads the round's tokens to grow its share. The first one serves
        as backup.

    """

    on_outcome: Literal["wait", "prune", "truncate"] = "wait"
    redraft: Literal["missing", "all"] = "missing"
    drafts: int = 1
    uses: ClassVar[frozenset[str]] = frozenset(
        {"drafter", "lookahead", "length", "tree", "verify", "policy", "backup"}
    )
    draft_on: ClassVar[Literal["own"]] = "own"
    reads_drafts: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require(self.drafts >= 1, "method.drafts", self.drafts, "needs a number >= 1")

    @property
    def simulated_only(self) -> str:
        """Why no real models can run it here; empty where they can."""
        return "real runs have one draft" if self.drafts > 1 else ""

    @property
    def stops_branches(self) -> bool:
        """Whether it tells its draft to leave branches unfinished."""
        return self.on_outcome != "wait"

    @property
    def timed(self) -> bool:
        """Whether what it drafts depends on how long things take."""
        return self.on_outcome == "truncate"

    def round_seconds(self, draft: float, verify: float) -> float:
        """Return what a round takes after a hit: drafting and verifying go on side by side."""
        return max(draft, verify)

    def decode(self, session: Session) -> Wait:
        """Decode every sequence of the session."""
        target, draft = session.target, session.draft
        while rows := (yield from session.admit()):
            message = draft.exchange(rows, session.lookahead)
            if message is not None:
                yield message
            speculations = list(map(_cached, rows))
            if not all(speculations):
                speculations = yield from redrafted(session, rows, self.redraft)
            if session.cutter is not None:
                speculations = session.cut(rows, speculations)
            verify = target.verify(rows, speculations)
            forked = draft.fork(rows, speculations)
            if forked is not None:
                speculations = yield forked
            predictions = predicted(session, rows, speculations)
            tree = session.prespeculate(rows, predictions, session.lookahead)
            outcomes = yield verify
            session.commit(speculations, outcomes)
            winners = settled(session, rows, speculations, predictions, outcomes)
            if session.goes_on:
                end = getattr(tree, self.on_outcome)(winners)
                if end is not None:
                    yield end
            for row in winners:
                row.cached = tree.take(row)


def redrafted(session: Session, rows: list[Row], which: Literal["missing", "all"]) -> Wait:
    """Let the backup draft for rows without a speculation, or for all; return every row's."""
    missing = [row for row in rows if row.cached is None]
    again = rows if which == "all" else missing
    fresh = yield session.backup.speculate(session, again)
    for row, speculation in zip(again, fresh, strict=True):
        row.cached = speculation
    return list(map(_cached, rows))


def predicted(
    session: Session, rows: list[Row], speculations: list[Speculation]
) -> list[frozenset[Outcome]]:
    """Return which outcomes the policy wants prepared for, a set a row."""
    budget = session.policy.budget
    if budget == "verify":
        verify = session.target.verify_seconds(rows, session.lookahead)
        each = session.draft.branches_within(verify, rows, session.lookahead)
        budget = each * len(session.drafts)
    predict, predictions = session.policy.predict, []
    for place, row in enumerate(rows):
        found = predict(speculations[place], budget)
        row.predicted = len(found)
        predictions.append(found)
    return predictions


def settled(
    session: Session,
    rows: list[Row],
    speculations: list[Speculation],
    predictions: list[frozenset[Outcome]],
    outcomes: list[Outcome],
) -> list[Row]:
    """Let the policy learn, and return the rows whose outcome had been predicted."""
    observe, winners = session.policy.observe, []
    for place, row in enumerate(rows):
        prepared, outcome = predictions[place], outcomes[place]
        observe(speculations[place], outcome)
        if row.left and prepared:
            row.hit = outcome in prepared
            if row.hit:
                winners.append(row)
    return winners
