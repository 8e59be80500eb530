"""AMUSD (McDanel 2025, arXiv 2410.17375): draft and target run asynchronously.

The draft makes a token a step, shows it, and only then looks what was committed meanwhile; where
that parts with what it made, it goes back. It never waits. The target waits until enough tokens
are shown, and after a rejection until the draft has gone back; then it verifies all of them. What
was shown last before the draft went back is worth nothing: the target makes a token alone then.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from simpy import Environment, Event, Process

from ssdsim.decoding.protocol import Row
from ssdsim.decoding.session import Session, Wait
from ssdsim.errors import require
from ssdsim.methods.base import Method


@dataclass(frozen=True)
class Amusd(Method):
    """Draft and target each run at their own pace, and read the other's latest tokens.

    The lookahead is the most drafted tokens that one verify takes.

    Attributes
    ----------
    ahead
        Drafted tokens that the target waits for before it verifies.

    """

    ahead: int = 2
    uses: ClassVar[frozenset[str]] = frozenset({"lookahead"})
    draft_on: ClassVar[Literal["own"]] = "own"
    drafts_ahead: ClassVar[bool] = True
    timed: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require(self.ahead >= 0, "method.ahead", self.ahead, "needs tokens >= 0")

    def decode(self, session: Session) -> Wait:
        """Decode every sequence of the session."""
        while rows := (yield from session.admit()):
            shared = _Shared(session.env)
            shared.drafting = drafting = session.env.process(_draft(session, rows, shared))
            while not shared.over:
                yield from self._verify(session, rows, shared)
                shared.over = session.rows is not rows or session.due
            if session.goes_on:
                yield drafting  # its device is busy until then

    def _verify(self, session: Session, rows: Sequence[Row], shared: "_Shared") -> Wait:
        most = session.lookahead
        while shared.drafting.is_alive and shared.misses(rows, min(self.ahead, most)):
            yield shared.news
        lengths = [min(len(row.ahead), most) for row in rows]
        yield from session.exchange(rows, max(lengths))
        speculations = list(map(session.draft.ahead, rows, lengths))
        outcomes = yield session.target.verify(rows, speculations)
        session.commit(speculations, outcomes)
        shared.lost = any(
            outcome.node < speculation.length
            for outcome, speculation in zip(outcomes, speculations, strict=True)
        )
        shared.tell()


@dataclass
class _Shared:
    """What both processes see.

    Attributes
    ----------
    shown
        For each sequence where what the draft showed last ends, counted as `Row.context` is.
    lost
        Whether drafted tokens were rejected and the draft has not looked yet.
    news
        Happens when one of the two has something new for the other.
    drafting
        The draft's process: it ends when the draft is lost.
    over
        Whether these rows go no further together.

    """

    env: Environment
    shown: dict[int, int] = field(default_factory=dict)
    lost: bool = False
    over: bool = False

    def __post_init__(self) -> None:
        self.news: Event = self.env.event()
        self.drafting: Process

    def misses(self, rows: Sequence[Row], ahead: int) -> bool:
        """Return whether the target has to wait for the draft to look, or for so many tokens."""
        return self.lost or any(self._shown(row) < min(ahead, row.left - 1) for row in rows)

    def _shown(self, row: Row) -> int:
        return max(self.shown.get(row.seq, 0) - row.context, len(row.ahead))

    def tell(self) -> None:
        """Let the other one look."""
        news, self.news = self.news, self.env.event()
        news.succeed()


def _draft(session: Session, rows: Sequence[Row], shared: _Shared) -> Wait:
    """Draft a token a step until one of these rows is finished, or another is to join them."""
    while not shared.over:
        short = [row for row in rows if session.lookahead and len(row.ahead) < row.left - 1]
        if short:
            ends = {row.seq: row.context + len(row.ahead) + 1 for row in short}
            drafted = yield session.draft.run_on(short, 1)
            if not drafted:
                shared.tell()
                return
            shared.shown |= ends
        else:
            yield shared.news
        shared.lost = False
        shared.tell()
