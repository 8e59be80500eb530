"""Clients that draft at the edge, and one target that serves them all (2606.25091).

A client drafts on a device of its own, sends that over its link, and waits for its outcome. The
target verifies whoever has waited longest, so clients slow each other down once it is busy all the
time. A target that drafts as well is taken γ·t_d + t_v seconds by a round of one client, this one
t_v: it serves 1 + γ·t_d/t_v times as many.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

from simpy import Event

from ssdsim.decoding.protocol import Draft, Row
from ssdsim.decoding.row_shares import RowShares
from ssdsim.decoding.session import Session, Wait
from ssdsim.errors import require
from ssdsim.methods.base import Method
from ssdsim.outcomes import Speculation


@dataclass(frozen=True)
class Edge(Method):
    """Every client drafts and waits by itself; the target takes them in the order they come in.

    Sequences are shared out among clients; those of one client go together. A new sequence begins
    when all clients have ended a round, and every draft reads every prompt.

    Attributes
    ----------
    clients
        How many, each with a draft on a device of its own, and a link.
    together
        The most clients that the target verifies in one pass, of those that wait.

    """

    clients: int = 4
    together: int = 1
    uses: ClassVar[frozenset[str]] = frozenset({"lookahead"})
    draft_on: ClassVar[Literal["own"]] = "own"
    reads_drafts: ClassVar[bool] = False
    simulated_only: ClassVar[str] = "real runs have one draft"

    def __post_init__(self) -> None:
        for name in ("clients", "together"):
            value = getattr(self, name)
            require(value >= 1, f"method.{name}", value, "needs a number >= 1")

    @property
    def drafts(self) -> int:
        """How many drafts there are: one a client."""
        return self.clients

    def decode(self, session: Session) -> Wait:
        """Decode every sequence of the session."""
        clients = RowShares(session.drafts)
        while rows := (yield from session.admit()):
            queue = _Queue(session, self.together)
            shares = clients.of(rows)
            running = [session.env.process(_client(session, queue, *share)) for share in shares]
            yield from running


def _client(session: Session, queue: "_Queue", draft: Draft, rows: list[Row]) -> Wait:
    """Decode a client's rows, to their end or until there is room for a waiting sequence."""
    while True:
        message = draft.exchange(rows, session.lookahead)
        if message is not None:
            yield message
        if session.lookahead:
            speculations = yield draft.speculate(rows, session.lookahead, "primary")
        else:
            speculations = [session.target.undrafted(row) for row in rows]
        yield queue.verify(rows, speculations)
        rows = [row for row in rows if row.left]
        if not rows or session.due:
            return


class _Request(NamedTuple):
    """What a client asks the target to verify, and the event of its rounds having ended."""

    rows: Sequence[Row]
    speculations: Sequence[Speculation]
    ended: Event


class _Queue:
    """Requests in the order in which they came, and whether the target is at work on some."""

    def __init__(self, session: Session, together: int) -> None:
        self.session, self.together = session, together
        self.waiting: deque[_Request] = deque()
        self.busy = False

    def verify(self, rows: Sequence[Row], speculations: Sequence[Speculation]) -> Event:
        """Ask for a verify, and for these rows' rounds to be ended with its outcomes."""
        request = _Request(rows, speculations, self.session.env.event())
        self.waiting.append(request)
        if not self.busy:
            self.busy = True
            self.session.env.process(self._serve())
        return request.ended

    def _serve(self) -> Wait:
        while self.waiting:
            some = [self.waiting.popleft() for _ in range(min(self.together, len(self.waiting)))]
            rows = [row for request in some for row in request.rows]
            drafted = [one for request in some for one in request.speculations]
            outcomes = yield self.session.target.verify(rows, drafted)
            for row, speculation, outcome in zip(rows, drafted, outcomes, strict=True):
                self.session.end(row, speculation, outcome)
            self.session.retire()
            for request in some:
                request.ended.succeed()
        self.busy = False
