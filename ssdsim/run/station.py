"""What waits, runs and is held at the replicas of a run, over time: `state.parquet`.

A replica is a station, with a queue and a batch, and so are the instances that compute prompts
elsewhere, all of them together, and a pool of draft devices, whose customers are no requests but
pieces of draft work. Whenever one of its counts changes it is noted, so that means over time are
exact; of a long run the table keeps one note of so many.
"""

from dataclasses import dataclass, field
from operator import itemgetter

import pyarrow as pa

from ssdsim.run.tables import STATE

MOST = 1 << 17
"""Notes that are kept: as many again are made before every second one is let go."""

STAGE, POOL = -1, -2
"""The numbers that instances which compute prompts, and draft devices, have among replicas."""

Counts = tuple[int, int, int]
"""Who waits, who is served, and blocks of the KV cache that these hold."""


@dataclass
class Station:
    """The counts of one station.

    Attributes
    ----------
    replica
        Which replica; `STAGE` and `POOL`: those that compute prompts, and that draft, for all.
    counts
        As they are now.
    since
        When they became so, seconds.
    areas
        Sums of count times seconds, up to then.
    peak
        The most blocks that were held.
    notes
        The counts from times on, every `stride`-th.

    """

    replica: int
    counts: Counts = (0, 0, 0)
    since: float = 0.0
    areas: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    peak: int = 0
    notes: list[tuple[float, Counts]] = field(default_factory=list)
    stride: int = 1
    made: int = 0

    def note(self, now: float, counts: Counts) -> None:
        """Take note of the counts from now on."""
        if counts == self.counts:
            return
        self._add_up(now)
        self.counts, self.peak = counts, max(self.peak, counts[2])
        if self.made % self.stride == 0:
            self.notes.append((now, counts))
        self.made += 1
        if len(self.notes) == 2 * MOST:
            del self.notes[1::2]
            self.stride *= 2

    def means(self, now: float) -> list[float]:
        """Return the mean counts from time 0 until now."""
        self._add_up(now)
        return [area / now if now else 0.0 for area in self.areas]

    def _add_up(self, now: float) -> None:
        seconds, self.since = now - self.since, now
        if seconds:
            for at, count in enumerate(self.counts):
                self.areas[at] += count * seconds


def state_table(stations: list[Station]) -> pa.Table:
    """Return the notes of all stations in order of time."""
    notes = [(time, one.replica, *counts) for one in stations for time, counts in one.notes]
    notes.sort(key=itemgetter(0))  # those of one time stay in order
    columns = zip(*notes, strict=True) if notes else [()] * len(STATE)
    arrays = [pa.array(column, of.type) for column, of in zip(columns, STATE, strict=True)]
    return pa.table(arrays, schema=STATE)
