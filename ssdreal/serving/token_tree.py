"""Grows token trees from the draft's logits: one pass a level over all of them."""

from collections.abc import Iterator, Sequence

from ssdreal.channel.message_parts import Chain, Line
from ssdreal.channel.messages import Grow
from ssdreal.channel.probability_pages import Place
from ssdreal.serving.branches import Tree, Write
from ssdreal.serving.drafter import Drafter
from ssdreal.serving.reader import Reader
from ssdreal.serving.sampling import Logits, Where
from ssdreal.serving.tree_pass import PendingToken, compute_tips
from ssdsim.outcomes import path_to
from ssdsim.trees.base import Path, Paths, TokenTree, halving, parents_of, sibling, widths_of

Children = tuple[Sequence[int], Sequence[float]]
"""Token ids, the draft's best first or in the order they were drawn, and its probabilities."""

NOWHERE = (-1, -1)


class GrowingTree:
    """One token tree while it is drafted.

    Parameters
    ----------
    tree, depth
        Which tree, of how many levels.
    line
        The row that it continues.
    place
        Where the probabilities go that its tokens are sampled from.
    behind
        The entries of what its root sees behind the text: the accepted part of a block.
    outcome
        Where in the block it starts, and the bonus token that it starts from. NOWHERE: it starts
        from the text's last token, which is read already.

    Attributes
    ----------
    tip
        The nodes that the next pass continues.
    start
        The position of its first level.

    """

    def __init__(
        self,
        tree: TokenTree,
        depth: int,
        line: Line,
        place: Place,
        behind: tuple[int, ...] = (),
        outcome: tuple[int, int] = NOWHERE,
    ) -> None:
        self.tree, self.line, self.place, self.outcome = tree, line, place, outcome
        read = outcome == NOWHERE
        self.root = line.tokens[-1] if read else outcome[1]
        self.start = len(line.tokens) + len(behind) + (not read)
        self.most = tree.most_children(depth)
        # Whoever samples must say how often before it sees what comes: such trees are static.
        self.widths = widths_of(tree.grow(depth, halving)) if tree.sampled else {}
        self.known: dict[Path, Children] = {}
        self.behind: dict[Path, tuple[int, ...]] = {(): behind}
        self.growth = tree.growth(depth)
        self.tip: Paths = next(self.growth, ())
        self.levels = self.drawn = 0

    @property
    def grows(self) -> bool:
        """Whether there are more levels to come."""
        return bool(self.tip)

    def pending_tokens(self) -> Iterator[PendingToken]:
        """Yield the nodes of the tip as tokens that are to be computed."""
        for path in self.tip:
            prefix, position = len(self.line.tokens), self.start - 1 + len(path)
            behind = self.behind[path[:-1]]
            yield PendingToken(self.line.slot, prefix, self._token(path), position, behind)

    def rooted(self, pending_tokens: Iterator[PendingToken]) -> None:
        """Take the pending tokens of the tip back, computed."""
        self.behind |= {path: next(pending_tokens).behind for path in self.tip}

    def grow_level(self, children: Iterator[Children]) -> None:
        """Take the children of every node of the tip."""
        self.known |= {path: next(children) for path in self.tip}
        self.levels += 1
        try:
            self.tip = self.growth.send(self.after)
        except StopIteration:
            self.tip = ()

    def after(self, path: Path) -> Sequence[float]:
        """Return the draft's probabilities of the candidates after a node."""
        return self.known[path][1]

    def result(self, shared: bool) -> Chain:
        """Return what has been grown so far."""
        paths = self.tree.grow(self.levels, self.after)
        return Chain(
            tuple(map(self._token, paths)),
            tuple(self.after(path[:-1])[path[-1]] for path in paths),
            self.place if shared else None,
            parents_of(paths),
        )

    def _token(self, path: Path) -> int:
        return self.known[path[:-1]][0][path[-1]] if path else self.root


def grow_level(
    drafter: Drafter, growing_trees: Sequence[GrowingTree], logits: Logits, write: Write
) -> None:
    """Add a level to each of these token trees.

    Parameters
    ----------
    drafter
        Chooses.
    growing_trees
        All of one tree.
    logits
        After every node of their tips, (nodes, head rows).
    write
        Where probabilities go that were sampled from.

    """
    nodes = [(growing_tree, path) for growing_tree in growing_trees for path in growing_tree.tip]
    where = [
        (growing_tree.line.seq, growing_tree.start + len(path)) for growing_tree, path in nodes
    ]
    if growing_trees[0].tree.sampled:
        children = _drawn(drafter, nodes, where, logits, write)
    else:
        ids, beliefs = drafter.candidates(logits, where, [()] * len(nodes), growing_trees[0].most)
        children = zip(ids.tolist(), beliefs.tolist(), strict=True)
    for growing_tree in growing_trees:
        growing_tree.grow_level(children)


def grow(
    reader: Reader,
    drafter: Drafter,
    growing_trees: Sequence[GrowingTree],
    logits: Logits,
    write: Write,
) -> None:
    """Grow token trees to the end, from the logits (rows, ...) after the texts that are read."""
    free = {growing_tree.line.slot: len(growing_tree.line.tokens) for growing_tree in growing_trees}
    grow_level(drafter, growing_trees, logits, write)
    while any(growing_tree.grows for growing_tree in growing_trees):
        grow_level(drafter, growing_trees, compute_tips(reader, growing_trees, free), write)


def _drawn(
    drafter: Drafter,
    nodes: Sequence[tuple[GrowingTree, Path]],
    where: Sequence[Where],
    logits: Logits,
    write: Write,
) -> Iterator[Children]:
    """Sample the children of nodes, and put down what they were sampled from."""
    siblings = [
        [sibling((*path, child)) for child in range(growing_tree.widths[path])]
        for growing_tree, path in nodes
    ]
    ids, chances, sends = drafter.draw(logits, where, siblings)
    for (growing_tree, _), row, tokens, sure in zip(nodes, sends, ids, chances, strict=True):
        write(growing_tree.place, growing_tree.drawn, row)
        growing_tree.drawn += 1
        yield tokens.tolist(), sure.tolist()


class GrowingTrees(Tree):
    """Branches as in `Tree`, where each is a token tree, and so is the block before them."""

    def __init__(self, reader: Reader, drafter: Drafter, command: Grow, tree: TokenTree) -> None:
        self.tree = tree
        super().__init__(reader, drafter, command)

    def _branch(self, line: Line, row: int, outcome: tuple[int, int], place: Place) -> GrowingTree:
        nodes = path_to(self.command.parents[row], outcome[0])
        behind = tuple(len(line.tokens) - 1 + node for node in nodes)
        return GrowingTree(self.tree, self.command.stopping.limit, line, place, behind, outcome)

    def _draft(self, branches: Sequence[GrowingTree], logits: Logits, write: Write) -> None:
        grow_level(self.drafter, branches, logits, write)
