"""Token trees while the draft grows them: one pass a level over all of them."""

from collections.abc import Iterator, Sequence

from ssdreal.channel.message_parts import Chain, Line
from ssdreal.channel.messages import Grow
from ssdreal.channel.probability_pages import Place
from ssdreal.serving.branches import Tree, Write
from ssdreal.serving.drafter import Drafter
from ssdreal.serving.reader import Reader
from ssdreal.serving.sampling import Logits, Where
from ssdreal.serving.tree_pass import Twig, look_on
from ssdsim.outcomes import way
from ssdsim.trees.base import Path, Paths, TokenTree, halving, parents_of, sibling, widths_of

Children = tuple[Sequence[int], Sequence[float]]
"""Token ids, the draft's best first or in the order they were drawn, and its probabilities."""

NOWHERE = (-1, -1)


class Sapling:
    """One token tree.

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

    def twigs(self) -> Iterator[Twig]:
        """Yield the nodes of the tip as tokens that are to be computed."""
        for path in self.tip:
            prefix, position = len(self.line.tokens), self.start - 1 + len(path)
            behind = self.behind[path[:-1]]
            yield Twig(self.line.slot, prefix, self._token(path), position, behind)

    def rooted(self, twigs: Iterator[Twig]) -> None:
        """Take the twigs of the tip back, computed."""
        self.behind |= {path: next(twigs).behind for path in self.tip}

    def climb(self, children: Iterator[Children]) -> None:
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


def climb(drafter: Drafter, saplings: Sequence[Sapling], logits: Logits, write: Write) -> None:
    """Let saplings grow by a level.

    Parameters
    ----------
    drafter
        Chooses.
    saplings
        All of one tree.
    logits
        After every node of their tips, (nodes, head rows).
    write
        Where probabilities go that were sampled from.

    """
    nodes = [(sapling, path) for sapling in saplings for path in sapling.tip]
    where = [(sapling.line.seq, sapling.start + len(path)) for sapling, path in nodes]
    if saplings[0].tree.sampled:
        children = _drawn(drafter, nodes, where, logits, write)
    else:
        ids, beliefs = drafter.candidates(logits, where, [()] * len(nodes), saplings[0].most)
        children = zip(ids.tolist(), beliefs.tolist(), strict=True)
    for sapling in saplings:
        sapling.climb(children)


def grow(
    reader: Reader, drafter: Drafter, saplings: Sequence[Sapling], logits: Logits, write: Write
) -> None:
    """Let saplings grow up, from the logits after the texts that the reader holds, (rows, ...)."""
    free = {sapling.line.slot: len(sapling.line.tokens) for sapling in saplings}
    climb(drafter, saplings, logits, write)
    while any(sapling.grows for sapling in saplings):
        climb(drafter, saplings, look_on(reader, saplings, free), write)


def _drawn(
    drafter: Drafter,
    nodes: Sequence[tuple[Sapling, Path]],
    where: Sequence[Where],
    logits: Logits,
    write: Write,
) -> Iterator[Children]:
    """Sample the children of nodes, and put down what they were sampled from."""
    siblings = [
        [sibling((*path, child)) for child in range(sapling.widths[path])]
        for sapling, path in nodes
    ]
    ids, chances, sends = drafter.draw(logits, where, siblings)
    for (sapling, _), row, tokens, sure in zip(nodes, sends, ids, chances, strict=True):
        write(sapling.place, sapling.drawn, row)
        sapling.drawn += 1
        yield tokens.tolist(), sure.tolist()


class Grove(Tree):
    """The same where every branch is a token tree, and so is the block."""

    def __init__(self, reader: Reader, drafter: Drafter, command: Grow, tree: TokenTree) -> None:
        self.tree = tree
        super().__init__(reader, drafter, command)

    def _branch(self, line: Line, row: int, outcome: tuple[int, int], place: Place) -> Sapling:
        nodes = way(self.command.parents[row], outcome[0])
        behind = tuple(len(line.tokens) - 1 + node for node in nodes)
        return Sapling(self.tree, self.command.stopping.limit, line, place, behind, outcome)

    def _draft(self, branches: Sequence[Sapling], logits: Logits, write: Write) -> None:
        climb(self.drafter, branches, logits, write)
