"""Drafts as many tokens as the live batch leaves room for in one verify (FastGRPO, 2025)."""

from collections.abc import Callable
from dataclasses import dataclass
from math import floor, log2

from ssdsim.errors import require
from ssdsim.lengths.base import Control, Length


@dataclass(frozen=True)
class Concurrency(Length):
    """Shares the tokens that a verify takes at no extra cost among the live rows.

    N = C_peak/B tokens a row, of which one is the last round's bonus token: at most N - 1 drafted
    nodes, and a depth of at most ⌊log2(N/a)⌋. Of a chain, nodes and depth are the same; a token
    tree keeps its best N - 1 nodes.

    Attributes
    ----------
    peak
        C_peak, tokens of all rows together at which a verify of the target stops being bound by
        memory.
    scale
        a: the larger, the shallower.

    """

    peak: int = 256
    scale: float = 1.0

    def __post_init__(self) -> None:
        require(self.peak >= 1, "length.peak", self.peak, "needs a number >= 1")
        require(self.scale > 0, "length.scale", self.scale, "needs a number > 0")

    def start(self, lookahead: int) -> Control:
        """Return a control that looks at the live batch alone."""
        return _Sharing(lookahead, self)


@dataclass
class _Sharing(Control):
    config: Concurrency

    def __post_init__(self) -> None:
        self.nodes = max(1, self.config.peak - 1)

    def limit(self, rows: int, seconds: Callable[[int], float]) -> int:  # noqa: ARG002
        each = self.config.peak / rows
        left = floor(each) - 1
        self.nodes = max(1, left)
        return max(0, min(left, floor(log2(each / self.config.scale)), self.lookahead))
