"""A chain: one token after another, as in ordinary speculative decoding."""

from dataclasses import dataclass
from typing import Self

from ssdsim.outcomes import Speculation, Speculator
from ssdsim.trees.base import Drafting, Paths, StaticTree


@dataclass(frozen=True)
class Chain(StaticTree):
    """A token a level, drawn as the draft samples: accepted by the rule of the coupling."""

    @property
    def sampled(self) -> bool:
        """Whether tokens are samples of the draft: they are."""
        return True

    def passes(self, depth: int) -> tuple[int, ...]:
        """Return 1 for every token."""
        return (1,) * depth

    def nodes(self, depth: int) -> int:
        """Return the depth."""
        return depth

    def shape(self, depth: int) -> Paths:
        """Return the first node of every level."""
        return tuple((0,) * level for level in range(1, depth + 1))

    def at_most(self, nodes: int) -> Self:  # noqa: ARG002 - the depth says it
        """Return itself: of a depth that is no more, it has no more nodes."""
        return self

    def speculate(self, text: Drafting, depth: int, speculator: Speculator) -> Speculation:
        """Let the draft continue a text by `depth` tokens."""
        return text.speculate(depth, speculator)
