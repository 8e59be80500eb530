"""A token tree written down node by node, as EAGLE and Medusa ship theirs."""

from collections import Counter
from dataclasses import dataclass

from ssdsim.errors import require
from ssdsim.trees.base import Paths, StaticTree

EAGLE: Paths = (
    *((place,) for place in range(4)),
    *((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (2, 0), (2, 1), (3, 0)),
    *((0, 0, 0), (0, 0, 1), (0, 0, 2), (0, 1, 0), (0, 1, 1), (0, 2, 0), (0, 2, 1), (1, 0, 0)),
    *((0, 0, 0, 0), (0, 0, 0, 1), (0, 0, 0, 2)),
    *((0, 0, 0, 0, 0), (0, 0, 0, 0, 1)),
)
"""The 25 nodes of EAGLE (Li et al. 2024): five levels, wide where the draft is likely right.

As the authors' repository lists them (SafeAILab/EAGLE, eagle/model/choices.py).
"""


@dataclass(frozen=True)
class Listed(StaticTree):
    """The same nodes in every round; a draft that is cut short has those of the first levels.

    Attributes
    ----------
    paths
        For every node the ranks, among the draft's candidates, of the tokens on the way to it,
        its own last; 0 is the best. None: EAGLE's 25 nodes, which need a lookahead of 5.

    """

    paths: tuple[tuple[int, ...], ...] = ()

    def __post_init__(self) -> None:
        there = {(), *self.paths}
        for path in self.paths:
            needed = (path[:-1], (*path[:-1], path[-1] - 1)) if path and path[-1] else (path[:-1],)
            right = f"needs {list(needed[-1])} as well, or is there twice"
            fine = len(path) > 0 and min(path) >= 0 and there.issuperset(needed)
            require(fine and self.paths.count(path) == 1, "tree.paths", list(path), right)

    @property
    def listed(self) -> Paths:
        """The nodes."""
        return self.paths or EAGLE

    def check(self, lookahead: int) -> None:
        """Refuse another depth than the tree's own."""
        depth = max(map(len, self.listed))
        require(lookahead == depth, "lookahead", lookahead, f"needs the tree's depth, {depth}")

    def passes(self, depth: int) -> tuple[int, ...]:
        """Return the root, then the nodes of every level that have children."""
        continued = {path[:-1] for path in self.listed}
        levels = Counter(map(len, continued))
        return tuple(levels[level] for level in range(depth))

    def shape(self, depth: int) -> Paths:
        """Return the nodes of the first levels."""
        ordered = sorted(self.listed, key=lambda path: (len(path), path))
        return tuple(path for path in ordered if len(path) <= depth)
