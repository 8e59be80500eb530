"""Deals the live rows out among several workers of a kind, each with devices of its own."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from ssdsim.decoding.protocol import Row

Worker = TypeVar("Worker")


@dataclass
class RowShares(Generic[Worker]):
    """A row stays with its worker, whose cache has its text; a new one goes where fewest are.

    Attributes
    ----------
    workers
        Among whom.
    home
        For each sequence the place of its worker.

    """

    workers: Sequence[Worker]
    home: dict[int, int] = field(default_factory=dict)

    def of(self, rows: Sequence[Row]) -> list[tuple[Worker, list[Row]]]:
        """Return each worker that has any of these rows, and which."""
        if len(self.workers) == 1:
            return [(self.workers[0], [*rows])]
        self._settle(rows)
        shares: list[list[Row]] = [[] for _ in self.workers]
        for row in rows:
            shares[self.home[row.seq]].append(row)
        return [(one, share) for one, share in zip(self.workers, shares, strict=True) if share]

    def _settle(self, rows: Sequence[Row]) -> None:
        load = Counter(self.home[row.seq] for row in rows if row.seq in self.home)
        for row in rows:
            if row.seq not in self.home:
                place = min(range(len(self.workers)), key=lambda place: load[place])
                self.home[row.seq] = place
                load[place] += 1
