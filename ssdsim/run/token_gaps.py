"""Inter-token latency: the seconds between two deliveries of tokens to the same sequence.

A round delivers its tokens at once, as an engine's step does, so there is one gap a round but the
first.
"""

from dataclasses import dataclass, field

import numpy as np

from ssdsim.run.columns import Floats, Rounds
from ssdsim.run.thinned import Thinned


@dataclass
class TokenGaps:
    """The gaps of a run, a stretch of its rounds after another.

    Attributes
    ----------
    found
        The gaps, in the order in which they ended.
    last
        When each sequence was delivered tokens last; NaN before that.

    """

    found: Thinned = field(default_factory=Thinned)
    last: Floats = field(default_factory=lambda: np.empty(0))

    def add(self, rounds: Rounds) -> None:
        """Take up more rounds, in the order in which they ended."""
        if len(rounds):
            gaps = self._gaps(rounds.seq.astype(np.int64), rounds.end)
            self.found.add(gaps.tolist(), float(gaps.sum()))

    def _gaps(self, seq: np.ndarray, end: Floats) -> Floats:
        self._make_room(int(seq.max()) + 1)
        order = np.argsort(seq, kind="stable")
        seq, end = seq[order], end[order]
        first = np.r_[True, seq[1:] != seq[:-1]]
        gaps = np.empty_like(end)
        gaps[order] = end - np.where(first, self.last[seq], np.r_[np.nan, end[:-1]])
        self.last[seq] = end  # of equal ones the last stays
        return gaps[~np.isnan(gaps)]

    def _make_room(self, sequences: int) -> None:
        if sequences > len(self.last):
            more = np.full(max(sequences, 2 * len(self.last)) - len(self.last), np.nan)
            self.last = np.concatenate([self.last, more])
