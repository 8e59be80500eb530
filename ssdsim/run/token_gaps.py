"""Inter-token latency: the seconds between two deliveries of tokens to the same sequence.

A round delivers its tokens at once, as an engine's step does, so there is one gap a round but the
first. Of a long run every so manieth gap is kept, in order; the mean is that of all.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ssdsim.run.columns import Floats, Rounds

MOST = 1 << 20
"""Gaps that are kept: as many again are taken before every second one is let go."""


@dataclass
class TokenGaps:
    """The gaps of a run, a stretch of its rounds after another.

    Attributes
    ----------
    total, count
        Sum and number of all gaps.
    kept
        Every `stride`-th of them.
    last
        When each sequence was delivered tokens last; NaN before that.

    """

    total: float = 0.0
    count: int = 0
    stride: int = 1
    kept: "array[float]" = field(default_factory=lambda: array("d"))
    last: Floats = field(default_factory=lambda: np.empty(0))

    def add(self, rounds: Rounds) -> None:
        """Take up more rounds, in the order in which they ended."""
        if not len(rounds):
            return
        gaps = self._gaps(rounds.seq.astype(np.int64), rounds.end)
        self.total += float(gaps.sum())
        self.kept.extend(gaps[-self.count % self.stride :: self.stride].tolist())
        self.count += len(gaps)
        while len(self.kept) > 2 * MOST:
            self.kept, self.stride = self.kept[::2], 2 * self.stride

    def quantiles(self, shares: list[float]) -> Sequence[float | None]:
        """Return the gaps that such shares of all fall short of; None where there are no gaps."""
        if not self.kept:
            return [None] * len(shares)
        found: list[float] = np.quantile(np.frombuffer(self.kept, np.float64), shares).tolist()
        return found

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
