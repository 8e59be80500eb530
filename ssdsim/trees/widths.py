"""A static token tree with a given number of children a level (SpecInfer, Miao et al. 2024)."""

from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from operator import mul
from typing import Literal

from ssdsim.errors import ConfigError, require
from ssdsim.outcomes import Speculation, Speculator
from ssdsim.trees.base import MOST_NODES, Drafting, Path, Paths, Sampled, StaticTree


@dataclass(frozen=True)
class Widths(StaticTree):
    """Every node of a level gets as many children as that level says, the draft's best ones.

    Attributes
    ----------
    widths
        Children of a node, from the root on; levels past the list have one a node.
    children
        The draft's "best" candidates, each accepted if it is the target's own token; or
        "sampled" from it and tried in turn, as SpecInfer does at a temperature above 0.

    """

    widths: tuple[int, ...] = (1, 1, 3)
    children: Literal["best", "sampled"] = "best"

    def __post_init__(self) -> None:
        fine = len(self.widths) > 0 and all(width >= 1 for width in self.widths)
        require(fine, "tree.widths", list(self.widths), "needs numbers >= 1")

    @property
    def sampled(self) -> bool:
        """Whether tokens are samples of the draft."""
        return self.children == "sampled"

    def check(self, lookahead: int) -> None:
        """Refuse more widths than levels, and trees that no target could verify."""
        listed = len(self.widths)
        right = f"needs at most lookahead = {lookahead} numbers"
        require(listed <= lookahead, "tree.widths", list(self.widths), right)
        nodes = self.nodes(lookahead)
        right = f"makes {nodes} nodes at lookahead = {lookahead}, at most {MOST_NODES} are possible"
        require(nodes <= MOST_NODES, "tree.widths", list(self.widths), right)

    def passes(self, depth: int) -> tuple[int, ...]:
        """Return the nodes that a pass continues: the root, then every level but the last."""
        return (1, *self._levels(depth))[:depth]

    def nodes(self, depth: int) -> int:
        """Return the nodes of all levels."""
        return sum(self._levels(depth))

    def shape(self, depth: int) -> Paths:
        """Return the nodes level by level."""
        return _grown(self._of(depth))

    def speculate(self, text: Drafting, depth: int, speculator: Speculator) -> Speculation:
        """Let the draft continue a text by this tree."""
        if self.children == "best":
            return text.grow(self, depth, speculator)
        if not isinstance(text, Sampled):
            right = "needs an acceptance source of whole distributions (language_model)"
            raise ConfigError(f"tree.children={self.children!r}: {right}")
        return text.sample(self, depth, speculator)

    def _levels(self, depth: int) -> tuple[int, ...]:
        """Return the nodes on every level."""
        return tuple(accumulate(self._of(depth), mul))

    def _of(self, depth: int) -> tuple[int, ...]:
        return (*self.widths, *(1,) * (depth - len(self.widths)))[:depth]


@lru_cache(maxsize=256)
def _grown(widths: tuple[int, ...]) -> Paths:
    level: list[Path] = [()]
    found: list[Path] = []
    for width in widths:
        level = [(*path, place) for path in level for place in range(width)]
        found += level
    return tuple(found)
