"""Slots that are filled between rounds: a prompt's pass holds up all live sequences."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from ssdsim.decoding.protocol import Row
from ssdsim.decoding.session import Session, Wait


@dataclass
class FilledSlots:
    """Admits waiting sequences into free slots, in the order in which they came.

    Attributes
    ----------
    slots
        Sequences decoded at a time.
    reading
        Those whose prompts are being computed.

    """

    slots: int
    reading: Sequence[Row] = ()

    def admit(self, session: Session) -> Wait:
        """Fill free slots, and compute the new sequences' prompts."""
        if not session.rows:
            yield from session.queue.someone()
        if session.queue.waiting and (new := self._next(session)):
            for _ in new:
                session.queue.waiting.popleft()
            self.reading = new
            session.noted()
            session.prompts.take_up(new)
            yield from session.prompts.read(new)
            self.reading = ()
            session.rows = [*session.rows, *new]
            for row in session.rows:
                row.ready = session.env.now  # a prompt's pass holds up all; no round has begun

    def due(self, session: Session) -> bool:
        """Return whether a sequence waits for a slot that is free."""
        return bool(session.queue.waiting and self._next(session))

    def left(self, rows: Iterable[Row]) -> None:
        """Take back nothing: a slot is free when its sequence has gone."""

    def live(self, session: Session) -> Sequence[Row]:
        """Return the live rows, and those whose prompts are being computed."""
        return [*session.rows, *self.reading]

    def blocks(self) -> int:
        """Count none."""
        return 0

    def _next(self, session: Session) -> Sequence[Row]:
        """Return the waiting sequences that there is a slot for, all of the step under way."""
        rows = session.rows
        if len(rows) >= self.slots:
            return ()
        free = [*islice(session.queue.waiting, self.slots - len(rows))]
        return [row for row in free if row.step == (rows or free)[0].step]
