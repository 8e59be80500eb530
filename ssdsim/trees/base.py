"""The interface of token trees: which nodes a tree has, and the passes that draft it.

A node is named by its path: for every token on the way to it that token's place among its
siblings, its own last. The children of a node are the draft's best candidates there, so a place is
a rank; where they are sampled, it is the order in which they were drawn and will be tried.
"""

from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from operator import mul
from typing import Protocol, Self, runtime_checkable
from zlib import crc32

from ssdsim.errors import ConfigError
from ssdsim.outcomes import Outcome, Speculation, Speculator

MOST_NODES = 4096
"""Nodes of a row's draft that a run can hold."""

Path = tuple[int, ...]
Paths = tuple[Path, ...]
"""The nodes of a tree but the root (), every one behind its parent and its elder siblings."""

After = Callable[[Path], Sequence[float]]
"""The draft's probabilities of its candidates after a node, best first."""

Growth = Generator[Paths, After, Paths]
"""A tree while it is drafted, one pass a level: it yields the nodes that the next pass continues,
is sent what the draft knows of these and all before them, and returns the nodes of the tree."""


class Drafting(Protocol):
    """A text, as a tree that is drafted over it sees it (`ssdsim.acceptance.base.Text`)."""

    def speculate(self, length: int, speculator: Speculator) -> Speculation:
        """Draft a chain."""
        ...

    def grow(self, tree: "TokenTree", depth: int, speculator: Speculator) -> Speculation:
        """Draft a tree whose children are the draft's best candidates."""
        ...


@runtime_checkable
class Sampled(Drafting, Protocol):
    """A text whose source has whole distributions to sample a tree's children from."""

    def sample(self, tree: "TokenTree", depth: int, speculator: Speculator) -> Speculation:
        """Draft a tree whose children are samples, verified by trying them in turn."""
        ...


@runtime_checkable
class TokenTree(Protocol):
    """The configuration of a tree: a frozen dataclass, one file each in this folder."""

    @property
    def sampled(self) -> bool:
        """Whether tokens are samples of the draft, so that accepting them takes its probabilities.

        The draft's best candidates need none: they were proposed with certainty.
        """
        return False

    def check(self, lookahead: int) -> None:  # noqa: ARG002 - any depth, unless a tree minds
        """Raise `ConfigError` if a tree of this depth is not what the options describe."""
        return

    def passes(self, depth: int) -> tuple[int, ...]:
        """Return the tokens a row in each of the draft's serial passes, one pass a level."""
        ...

    def nodes(self, depth: int) -> int:
        """Return the most tokens that a tree of this depth sends to the target."""
        ...

    def most_children(self, depth: int) -> int:
        """Return the most children that a node may have."""
        ...

    def at_most(self, nodes: int) -> "TokenTree":  # noqa: ARG002 - some trees can
        """Return this tree with its best `nodes` alone, 1 or more; it may be as many levels deep.

        Raises
        ------
        ConfigError
            It does not know which of its nodes are the best.

        """
        right = "does not shrink where a length control shares nodes out: needs chain or confident"
        raise ConfigError(f"tree={type(self).__name__.lower()!r}: {right}")

    def growth(self, depth: int) -> Growth:
        """Begin a tree of this depth."""
        ...

    def grow(self, depth: int, after: After) -> Paths:
        """Return the nodes of a tree of this depth, where everything can be asked at any time."""
        growth = self.growth(depth)
        try:
            next(growth)
            while True:
                growth.send(after)
        except StopIteration as end:
            paths: Paths = end.value
            return paths

    def speculate(self, text: Drafting, depth: int, speculator: Speculator) -> Speculation:
        """Let the draft continue a text by this tree."""
        return text.grow(self, depth, speculator)


class StaticTree(TokenTree, Protocol):
    """A tree that is the same whatever the draft says."""

    def shape(self, depth: int) -> Paths:
        """Return the nodes."""
        ...

    def nodes(self, depth: int) -> int:
        """Return how many they are."""
        return len(self.shape(depth))

    def most_children(self, depth: int) -> int:
        """Return the most children of a node."""
        return max(widths_of(self.shape(depth)).values())

    def growth(self, depth: int) -> Growth:
        """Continue the nodes of every level that have children."""
        paths = self.shape(depth)
        width = widths_of(paths)
        for level in range(depth):
            yield tuple(path for path in ((), *paths) if len(path) == level and width[path])
        return paths

    def grow(self, depth: int, after: After) -> Paths:  # noqa: ARG002 - whatever the draft says
        """Return the nodes."""
        return self.shape(depth)


def sibling(path: Path) -> int:
    """Return what tells a sampled node's noise from that of others at its position.

    The first child of the first child is a chain's token, drawn as a chain draws it: with its
    place in the chain. Siblings, and cousins, that shared theirs would be one sample.
    """
    own = crc32(repr(path).encode()) << 32 if any(path) else 0
    return own + len(path) - 1


@lru_cache(maxsize=4096)
def parents_of(paths: Paths) -> tuple[int, ...]:
    """Return for every node the index of the one before it, -1 for the root."""
    number = _numbers(paths)
    return tuple(number[path[:-1]] - 1 for path in paths)


@lru_cache(maxsize=4096)
def widths_of(paths: Paths) -> dict[Path, int]:
    """Return how many children every node has, the root () included."""
    found = dict.fromkeys(_numbers(paths), 0)
    for path in paths:
        found[path[:-1]] += 1
    return found


def landing(paths: Paths, ranks: Sequence[int]) -> Outcome:
    """Return how the verify of a tree of best candidates ends.

    A child that is the draft's best candidate, not a sample, was proposed with certainty: it is
    accepted exactly if it is the text's own token, at any temperature and under either coupling
    (q = 1: p/q with the draft's q would lose the target's distribution).

    Parameters
    ----------
    paths
        The tree.
    ranks
        The rank of the text's own token at every depth among the draft's candidates after the
        text's own tokens before it, -1 where it is not among them; shape (depth + 1,).

    """
    number, width = _numbers(paths), widths_of(paths)
    path: Path = ()
    while (child := (*path, ranks[len(path)])) in number:
        path = child
    rank = ranks[len(path)]
    return Outcome(number[path], rank - width[path] if rank >= 0 else -1)


Steps = tuple[int, ...]
"""How many branches there are in each of a draft's steps over a level."""


def made(live: Steps, nodes: Sequence[int]) -> int:
    """Return the tokens of all steps, each of which makes so many nodes in a branch."""
    return sum(map(mul, live, nodes))


@dataclass(frozen=True, slots=True)
class Levels:
    """A tree of some depth, in the numbers that its cost depends on.

    Attributes
    ----------
    tree
        The tree.
    nodes
        The most tokens that it sends to the target.
    made
        The most of them in each pass, shape (passes,).
    computed
        The nodes that each of the draft's serial passes continues, shape (passes,).
    passes
        How many of these passes are over so many nodes, as (nodes, passes).
    block
        Levels that a pass drafts: more than one of a chain alone.

    """

    tree: TokenTree
    nodes: int
    made: tuple[int, ...]
    computed: tuple[int, ...]
    passes: tuple[tuple[int, int], ...]
    block: int = 1

    @classmethod
    def of(cls, tree: TokenTree, depth: int, block: int = 1) -> Self:
        """Count the levels of a tree of this depth, drafted so many at once."""
        nodes = [tree.nodes(level) for level in (*range(0, depth, block), depth)]
        made = tuple(more - less for less, more in pairwise(nodes))
        computed = tree.passes(depth) if block == 1 else made
        return cls(tree, nodes[-1], made, computed, tuple(Counter(computed).items()), block)

    def depth(self, passes: int) -> int:
        """Return how many levels there are after so many passes."""
        return min(passes * self.block, self.nodes) if self.block > 1 else passes


def halving(path: Path) -> Sequence[float]:  # noqa: ARG001 - it is the same everywhere
    """Stand in for a draft whose every candidate is half as likely as the one before it."""
    return [0.5**rank for rank in range(1, 65)]


@lru_cache(maxsize=4096)
def _numbers(paths: Paths) -> dict[Path, int]:
    """Return the number of every node, 0 for the root."""
    return {path: number for number, path in enumerate(((), *paths))}
