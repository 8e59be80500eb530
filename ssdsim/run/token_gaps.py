"""Inter-token latency: the seconds between two deliveries of tokens to the same request.

A round delivers its tokens at once, as an engine's step does, so there is one gap a round but the
first. Of a long run every so manieth gap is kept, in order; the mean is that of all.
"""

from array import array
from dataclasses import dataclass, field
from operator import attrgetter

import numpy as np

from ssdsim.run.columns import Floats
from ssdsim.run.trace import Recorder

MOST = 1 << 20
"""Gaps that are kept: as many again are taken before every second one is let go."""

_ends = attrgetter("seq", "end")


@dataclass
class TokenGaps:
    """The gaps of a run, read from its rounds before these are put away.

    Attributes
    ----------
    recorder
        Who has the rounds.
    read
        How many of them have been read.
    total, count
        Sum and number of all gaps.

    """

    recorder: Recorder
    read: int = 0
    total: float = 0.0
    count: int = 0
    stride: int = 1
    kept: "array[float]" = field(default_factory=lambda: array("d"))
    last: Floats = field(init=False)

    def __post_init__(self) -> None:
        self.last = np.full(len(self.recorder.sequences), np.nan)
        self.recorder.readers.append(self.update)

    def update(self) -> None:
        """Read the rounds that have ended since."""
        new = self.recorder.rounds[self.read - self.recorder.gone :]
        self.read += len(new)
        if new:
            self._take(*(np.array(column) for column in zip(*map(_ends, new), strict=True)))

    def values(self) -> Floats:
        """Return the gaps that are kept."""
        return np.frombuffer(self.kept, np.float64) if self.kept else np.empty(0)

    def _take(self, seq: np.ndarray, end: Floats) -> None:
        order = np.argsort(seq, kind="stable")
        seq, end = seq[order], end[order]
        first = np.r_[True, seq[1:] != seq[:-1]]
        before = np.where(first, self.last[seq], np.r_[np.nan, end[:-1]])
        self.last[seq] = end  # the last of equal ones stays
        gaps = np.empty_like(end)
        gaps[order] = end - before
        gaps = gaps[~np.isnan(gaps)]
        self.total += float(gaps.sum())
        self.kept.extend(gaps[-self.count % self.stride :: self.stride].tolist())
        self.count += len(gaps)
        while len(self.kept) > 2 * MOST:
            self.kept, self.stride = self.kept[::2], 2 * self.stride
