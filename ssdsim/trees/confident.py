"""A token tree that grows where the draft's probabilities are high (EAGLE-2, Li et al. 2024)."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from heapq import nsmallest
from itertools import accumulate
from typing import Self

from ssdsim.errors import require
from ssdsim.trees.base import MOST_NODES, After, Growth, Path, TokenTree

Scored = tuple[float, int, Path]
"""Minus the product of the confidences on the way to a node, its depth, and the node: the least
is the likeliest, the shallowest, the first."""


@dataclass(frozen=True)
class Confident(TokenTree):
    """The likeliest nodes of a level are continued, and the likeliest of all are verified.

    A node's value is the product of the draft's probabilities on the way to it, which is about
    its chance of being accepted. Values fall along a path, so the best nodes are a tree. The
    published setting is a beam of 10, 10 children, 60 nodes and a depth (lookahead) of 7.

    Attributes
    ----------
    beam
        Nodes of a level that are continued, by value.
    children
        Candidates looked at after each of them.
    most
        Nodes that are verified, by value.

    """

    beam: int = 10
    children: int = 10
    most: int = 60

    def __post_init__(self) -> None:
        for name in ("beam", "children", "most"):
            value = getattr(self, name)
            require(value >= 1, f"tree.{name}", value, "needs a number >= 1")

    def check(self, lookahead: int) -> None:
        """Refuse too few nodes for one path of the whole depth, and more than a run can hold."""
        right = f"needs a node a level at least, lookahead = {lookahead}"
        require(self.most >= lookahead, "tree.most", self.most, right)
        widest, nodes = max(self.passes(lookahead)), self.nodes(lookahead)
        right = f"continues {widest} nodes of a level, at most {MOST_NODES} are possible"
        require(widest <= MOST_NODES, "tree.beam", self.beam, right)
        right = f"has {nodes} nodes at lookahead={lookahead}, at most {MOST_NODES} are possible"
        require(nodes <= MOST_NODES, "tree.most", self.most, right)

    def passes(self, depth: int) -> tuple[int, ...]:
        """Return the root, then the nodes of each level that are continued."""
        wider = accumulate(range(1, depth), self._continued, initial=1)
        return tuple(wider)[:depth]

    def nodes(self, depth: int) -> int:
        """Return the nodes that are verified, or all that there can be."""
        return min(self.most, self.children * sum(self.passes(depth)))

    def most_children(self, depth: int) -> int:  # noqa: ARG002 - at any
        """Return the candidates looked at after a node."""
        return self.children

    def growth(self, depth: int) -> Growth:
        """Continue a beam of the draft's guesses, and return the best nodes of what it finds."""
        level: list[Scored] = [(-1.0, 0, ())]
        found: list[Scored] = []
        for _ in range(depth):
            beam = nsmallest(self.beam, level)
            after = yield tuple(path for _, _, path in beam)
            level = [child for scored in beam for child in self._children(scored, after)]
            found += level
        best = nsmallest(self.most, found)
        return tuple(path for _, path in sorted((depth, path) for _, depth, path in best))

    def at_most(self, nodes: int) -> Self:
        """Return it with fewer nodes; a wider beam, or more children, would not find better ones.

        What is on the way to one of the n best nodes is among the n best of its level.
        """
        return replace(
            self,
            beam=min(self.beam, nodes),
            children=min(self.children, nodes),
            most=min(self.most, nodes),
        )

    def _continued(self, above: int, _: int) -> int:
        """Return how many nodes of a level are continued, if so many were one level above."""
        return min(self.beam, self.children * above)

    def _children(self, scored: Scored, after: After) -> Iterable[Scored]:
        value, depth, path = scored
        # Equal but for rounding, two candidates may stand in the other order of probabilities.
        falling = accumulate(after(path)[: self.children], min)
        for place, confidence in enumerate(falling):
            yield value * confidence, depth + 1, (*path, place)
