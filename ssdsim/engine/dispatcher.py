"""Brings the requests of a run to its replicas: in the course of time, or all at the start."""

from collections.abc import Sequence

from simpy import Environment

from ssdsim.decoding.protocol import Row
from ssdsim.decoding.session import Session, Wait
from ssdsim.routers.base import Routing
from ssdsim.run.tables import Sequence as SequenceRecord


class Dispatcher:
    """Asks the router about every request as it comes in.

    Attributes
    ----------
    env, sessions
        The clock, and a session a replica.
    routing
        Which of them a request goes to.
    outstanding
        Requests of each that have come and are not finished, shape (replicas,).

    """

    def __init__(
        self, env: Environment, sessions: Sequence[Session], routing: Routing, rows: Sequence[Row]
    ) -> None:
        self.env, self.sessions, self.routing, self.rows = env, sessions, routing, rows
        self.outstanding = [0] * len(sessions)

    def start(self) -> None:
        """Let everybody come who is there from the start, and expect the others."""
        at_once = [row for row in self.rows if not row.record.arrival]
        later = self.rows[len(at_once) :]
        for row in at_once:
            self._send(row)
        if later:
            self._expect(True)
            self.env.process(self._arrivals(later))

    def finished(self, record: SequenceRecord) -> None:
        """Take note that a request is finished."""
        self.outstanding[record.replica] -= 1

    def _arrivals(self, rows: Sequence[Row]) -> Wait:
        for row in rows:
            wait = row.record.arrival - self.env.now
            if wait > 0:
                yield self.env.timeout(wait)
            self._send(row)
        self._expect(False)

    def _send(self, row: Row) -> None:
        replica = row.record.replica = self.routing.choose(row.prefix, self.outstanding)
        self.outstanding[replica] += 1
        self.sessions[replica].receive(row)

    def _expect(self, more: bool) -> None:
        for session in self.sessions:
            session.expecting = more
            session.tell()
