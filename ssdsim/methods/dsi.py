"""DSI, distributed speculative inference (Timor et al. 2024, arXiv 2405.14105).

Many verifies run at once. A task for a target server starts with nothing drafted, and after every
window of drafts. Drafting never waits for any of them: each checks its own window as if all before
it were right. At the first rejection all tasks behind it and the drafter are stopped, and
everything starts again from the corrected text.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, cast

from simpy import Event, Process

from ssdsim.decoding.abilities import StoppableDraft, StoppableTarget
from ssdsim.decoding.protocol import Row
from ssdsim.decoding.session import Session, Wait
from ssdsim.errors import require
from ssdsim.methods.base import Method
from ssdsim.outcomes import Speculation


@dataclass(frozen=True)
class Dsi(Method):
    """One drafter, and a pool of copies of the target.

    The window is the lookahead, but never more than the draft makes beside one verify (nothing, if
    a step takes longer): then a task starts at least as often as one ends, and it is never slower
    than decoding without a draft. The rows of a batch go together: a rejection in one restarts all.

    Attributes
    ----------
    servers
        Copies of the target. ceil(verify seconds / window seconds) of them hide every verify.

    """

    servers: int = 4
    uses: ClassVar[frozenset[str]] = frozenset({"lookahead"})
    draft_on: ClassVar[Literal["own"]] = "own"
    drafts_ahead: ClassVar[bool] = True
    simulated_only: ClassVar[str] = "real runs have no pool of target servers"

    def __post_init__(self) -> None:
        require(self.servers >= 1, "method.servers", self.servers, "needs a number >= 1")

    def decode(self, session: Session) -> Wait:
        """Decode every sequence of the session."""
        while rows := (yield from session.admit()):
            yield from _Chain(session, rows).run()


class _Chain:
    """What is drafted and verified from one corrected text to the next.

    Attributes
    ----------
    asked
        For each sequence where the tokens end that the tasks so far will commit if all are right.
    waiting, running
        Tasks in order: without a server yet; with one, and the event that ends the verify.
    free
        Servers that have no task.
    news
        Happens when a task gets a server.
    over
        Whether all of it is void.

    """

    def __init__(self, session: Session, rows: Sequence[Row]) -> None:
        self.session, self.rows = session, rows
        self.draft = cast("StoppableDraft", session.draft)
        self.asked = {row.seq: row.context for row in rows}
        self.waiting: deque[list[Speculation]] = deque()
        self.running: deque[tuple[StoppableTarget, list[Speculation], Event]] = deque()
        self.free = cast("list[StoppableTarget]", list(session.servers))
        self.over = False
        self.news = session.env.event()

    def run(self) -> Wait:
        """Draft and verify side by side; at the end stop all that is under way."""
        self._ask()
        drafting = self.session.env.process(self._draft())
        yield from self._settle(drafting)
        self.over = True
        for server, _, _ in self.running:
            server.cancel()
        self.draft.cancel(self.rows)

    def _draft(self) -> Wait:
        """Draft window after window, each with a task behind it."""
        window = _window(self.session, self.rows)
        while (length := min(window, self._missing())) > 0:
            yield self.draft.run_on(self.rows, length)
            if self.over:
                return
            self._ask()

    def _missing(self) -> int:
        """Return how many tokens are still to be drafted, for the row that misses most."""
        return max(row.left - 1 - len(row.ahead) for row in self.rows)

    def _ask(self) -> None:
        """Put up a task: of every row what is drafted and in no task yet."""
        self.waiting.append([self._untasked(row) for row in self.rows])
        self._serve()

    def _settle(self, drafting: Process) -> Wait:
        """Commit the tasks in order, until one ends the chain or no more will come."""
        while self.running:
            server, speculations, verify = self.running[0]
            outcomes = yield verify
            yield from self.session.exchange(self.rows, max(s.length for s in speculations))
            ahead = [row.ahead for row in self.rows]
            self.session.commit(speculations, outcomes, server)
            self.running.popleft()
            self.free.insert(0, server)
            right = all(row.ahead is had for row, had in zip(self.rows, ahead, strict=True))
            if not right or self.session.rows is not self.rows or self.session.due:
                return
            self._serve()
            if not self.running and drafting.is_alive:
                self.news = self.session.env.event()
                yield self.news

    def _untasked(self, row: Row) -> Speculation:
        end = row.context + len(row.ahead)
        length, start = max(end - self.asked[row.seq], 0), self.asked[row.seq] - row.context
        self.asked[row.seq] += length + 1
        return self.draft.ahead(row, length, start)

    def _serve(self) -> None:
        while self.waiting and self.free:
            server, speculations = self.free.pop(0), self.waiting.popleft()
            self.running.append((server, speculations, server.verify(self.rows, speculations)))
        if self.running and not self.news.triggered:
            self.news.succeed()


def _window(session: Session, rows: Sequence[Row]) -> int:
    step, verify = session.draft.step_seconds(rows), session.target.verify_seconds(rows, 0)
    beside = int(verify / step + 1e-9) if step else session.lookahead
    return min(session.lookahead, beside)
