"""Slots that are filled between rounds: a prompt's pass holds up all live sequences."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from ssdsim.decoding.protocol import Row
from ssdsim.decoding.session import Session, Wait


@dataclass(frozen=True)
class FilledSlots:
    """Admits waiting sequences into free slots, in the order in which they came.

    Attributes
    ----------
    slots
        Sequences decoded at a time.

    """

    slots: int

    def admit(self, session: Session) -> Wait:
        """Fill free slots, and compute the new sequences' prompts."""
        if not session.rows:
            yield from session.someone()
        if session.waiting and (new := self._next(session)):
            for _ in new:
                session.waiting.popleft()
            yield from session.prefill(new)
            session.rows = [*session.rows, *new]

    def due(self, session: Session) -> bool:
        """Return whether a sequence waits for a slot that is free."""
        return bool(session.waiting and self._next(session))

    def left(self, rows: Iterable[Row]) -> None:
        """Take back nothing: a slot is free when its sequence has gone."""

    def live(self, session: Session) -> Sequence[Row]:
        """Return the live rows."""
        return session.rows

    def _next(self, session: Session) -> Sequence[Row]:
        """Return the waiting sequences that there is a slot for, all of the step under way."""
        rows = session.rows
        if len(rows) >= self.slots:
            return ()
        free = [*islice(session.waiting, self.slots - len(rows))]
        return [row for row in free if row.step == (rows or free)[0].step]
