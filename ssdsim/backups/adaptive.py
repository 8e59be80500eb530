"""Switches from a slow, accurate backup to a fast one where the batch exceeds b* (SSD, Cor. 16)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from numpy.random import Generator

from ssdsim.backups.choice_of_two import ChosenBackup, TwoBackups
from ssdsim.decoding.protocol import Row
from ssdsim.decoding.session import Speculating
from ssdsim.theory import critical_batch

if TYPE_CHECKING:
    from ssdsim.decoding.session import Session


@dataclass(frozen=True)
class Adaptive(TwoBackups):
    """Switches at the batch size b* of Cor. 16 (SSD), from hit rate and lengths seen so far."""

    def start(self, rng: Generator) -> Speculating:
        """Return one that has seen nothing yet."""
        return _Adaptive(self, self.slow.start(rng), self.fast.start(rng))


@dataclass
class _Adaptive(ChosenBackup):
    def slow_pays(self, session: "Session", rows: Sequence[Row]) -> bool:
        verify = session.target.verify_seconds(rows, session.lookahead)
        # Branches cost about as much as single tokens while a draft is bound by its weights.
        step = session.draft.speculate_seconds(rows, session.lookahead) / verify
        slow = self.slow.speculate_seconds(session, rows) / verify
        fast = min(slow, self.fast.speculate_seconds(session, rows) / verify)
        critical = critical_batch(
            self.hit.value,
            self.on_hit.value,
            step,
            slow=(self.lengths["slow"].value, slow),
            fast=(self.lengths["fast"].value, fast),
        )
        return len(session.rows) < critical
