"""The record of a long run: what is final is put away, so that memory does not grow with it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

from ssdsim.run.columns import Rounds, Spans
from ssdsim.run.metrics import Tally
from ssdsim.run.stored_table import StoredTable
from ssdsim.run.tables import ROUNDS, RUN_ID, SEQUENCES, SPANS, Span, table_of
from ssdsim.run.trace import Recorder, Tables
from ssdsim.system.interrupts import held_back

CHUNK = 1 << 16
"""Rounds or spans that are held before what is final goes to disk, a row group at a time."""

SUMS = 1 << 11
"""Sums that are kept of the steps that were put away at once."""

Unsettled = Callable[[], tuple[Iterable[Span], float]]


@dataclass
class Spool(Recorder):
    """A recorder that holds the last rounds and spans alone, and the sums of all before them.

    Attributes
    ----------
    devices
        As `ssdsim.run.trace.Run` describes them.
    unsettled
        Returns the spans that may still change, and since when a round has been in flight.
    began
        Whether anything was put away.

    """

    devices: Sequence[Mapping[str, Any]] = ()
    unsettled: Unsettled = lambda: ((), 0.0)
    tally: Tally = field(init=False)
    stored: dict[str, StoredTable] = field(default_factory=dict, init=False)
    began: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self.tally = Tally(self.devices, SUMS)
        self.full = CHUNK

    def settle(self) -> None:
        """Put away what is final, if there is much of it."""
        if len(self.spans) >= self.full or len(self.rounds) >= self.full:
            changing, horizon = self.unsettled()
            held = {id(span) for span in changing}
            count = len(self.spans)
            final = next((at for at in range(count) if id(self.spans[at]) in held), count)
            starts = (span.start for span in self.spans[final:])
            self._put_away(final, min([horizon, *starts]))
            self.full = CHUNK + len(self.spans)

    def cut(self, now: float) -> None:
        """Cut short the spans still running; once something was put away, it is the end."""
        super().cut(now)
        if self.began and self.tally.until < inf:
            self._put_away(len(self.spans), inf)
            for table in self.stored.values():
                table.close()

    def tables(self, now: float) -> Tables:
        """Return the three tables as of time `now`."""
        if not self.stored:
            return super().tables(now)
        self.cut(now)
        return {"sequences": table_of(self.sequences, SEQUENCES), **self.stored}

    def summed(self, now: float, devices: Sequence[Mapping[str, Any]]) -> Tally:
        """Return the sums that metrics are made of, as they were added up on the way."""
        if not self.began:
            return super().summed(now, devices)
        self.cut(now)
        return self.tally

    def _put_away(self, final: int, horizon: float) -> None:
        """Write all rounds and the first `final` spans down, and let go of them."""
        with held_back():  # else an interrupt could leave rows both here and there
            for reader in self.readers:
                reader()
            spans = self.spans[:final]
            self.tally.add(Rounds.of(self.rounds), Spans.of(spans), horizon)
            self._store(spans)
            self.began, self.gone = True, self.gone + len(self.rounds)
            self.rounds.clear()
            del self.spans[:final]

    def _store(self, spans: Sequence[Span]) -> None:
        """Write all rounds and these spans down."""
        tables = {"rounds": table_of(self.rounds, ROUNDS), "spans": table_of(spans, SPANS)}
        for name, table in tables.items():
            if name not in self.stored:
                self.stored[name] = StoredTable(table.schema.with_metadata({RUN_ID: self.run_id}))
            self.stored[name].append(table)


@dataclass
class Counted(Spool):
    """A recorder that keeps the sums of what is final, and nothing else: it has no tables then."""

    def _store(self, spans: Sequence[Span]) -> None:
        """Write nothing down."""
