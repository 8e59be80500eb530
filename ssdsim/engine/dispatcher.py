"""Brings the requests of a run to its replicas: in the course of time, or all at the start."""

from collections import deque
from collections.abc import Sequence
from math import inf

from simpy import Environment

from ssdsim.decoding.protocol import Row
from ssdsim.decoding.session import Session, Wait
from ssdsim.engine.prefill_stage import PrefillStage
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
    most, think
        Requests that are there at a time, and the seconds until another comes for a finished one.
    outstanding
        Requests of each that have come and are not finished, shape (replicas,).
    stage
        What computes their prompts elsewhere; None: the replicas do.
    coming
        Whether there are requests that have not come.
    held
        Those who come while there are as many as may be: their clients send them later.
    thinking
        Clients who have an answer and will send another request.

    """

    def __init__(
        self,
        env: Environment,
        sessions: Sequence[Session],
        routing: Routing,
        rows: Sequence[Row],
        most: float = inf,
        think: float = 0.0,
    ) -> None:
        self.env, self.sessions, self.routing, self.rows = env, sessions, routing, rows
        self.most, self.think, self.held = most, think, deque[Row]()
        self.thinking = 0
        self.outstanding = [0] * len(sessions)
        self.stage: PrefillStage | None = None
        self.coming = False

    def start(self) -> None:
        """Let everybody come who is there from the start, and expect the others."""
        at_once = [row for row in self.rows if not row.record.arrival]
        later = self.rows[len(at_once) :]
        self.coming = bool(later)
        for row in at_once:
            self._come(row)
        self.expect()
        if later:
            self.env.process(self._arrivals(later))

    def finished(self, record: SequenceRecord) -> None:
        """Take note that a request is finished: another may come in its place."""
        self.outstanding[record.replica] -= 1
        if self.held and self.think:
            self.thinking += 1
            self.env.process(self._think(self.held.popleft()))
        elif self.held:
            self._come_instead(self.held.popleft())

    def _think(self, row: Row) -> Wait:
        yield self.env.timeout(self.think)
        self.thinking -= 1
        self._come_instead(row)

    def _come_instead(self, row: Row) -> None:
        row.record.arrival = self.env.now
        self._send(row)
        self.expect()

    def _arrivals(self, rows: Sequence[Row]) -> Wait:
        for row in rows:
            wait = row.record.arrival - self.env.now
            if wait > 0:
                yield self.env.timeout(wait)
            self._come(row)
        self.coming = False
        self.expect()

    def _come(self, row: Row) -> None:
        if sum(self.outstanding) + self.thinking < self.most:
            self._send(row)
        else:
            self.held.append(row)

    def _send(self, row: Row) -> None:
        replica = row.record.replica = self.routing.choose(row.prefix, self.outstanding)
        self.outstanding[replica] += 1
        if self.stage is None:
            self.sessions[replica].receive(row)
        else:
            self.stage.receive(row, self.sessions[replica])

    def expect(self) -> None:
        """Tell the replicas whether anybody is still on the way."""
        staged = self.stage is not None and self.stage.under_way > 0
        more = self.coming or staged or bool(self.held or self.thinking)
        for session in self.sessions:
            session.queue.expect(more)
