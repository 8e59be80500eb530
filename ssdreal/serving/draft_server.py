"""The draft's worker: drafts chains and trees, ranks candidates, grows branches."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssdreal.channel.message_parts import Candidates, Chain, Line
from ssdreal.channel.messages import Begin, Branches, Chains, Fork, Forks, Grow, Paces, Speculate
from ssdreal.channel.probability_pages import CHAINS, Place
from ssdreal.serving.branches import Tree
from ssdreal.serving.drafter import Drafter
from ssdreal.serving.sampling import Logits, Where
from ssdreal.serving.server import Server, median_seconds
from ssdreal.serving.token_tree import GrowingTree, GrowingTrees, grow
from ssdsim.outcomes import chain as chain_of
from ssdsim.outcomes import children, depths
from ssdsim.trees.base import TokenTree

WARM_UP_BRANCHES = (1, 8, 24, 64)


class DraftServer(Server):
    """Answers the commands that need a draft."""

    fixed, role = False, "draft"

    def prepare(self, command: Begin) -> None:
        """Make the drafter."""
        ids = None if self.model.ids is None else self.model.ids.cpu().numpy()
        self.behind: Any = None  # the blocks, as trees, whose entries lie behind the texts
        self.drafter = Drafter(command.decoding, command.seed, self.model.vocabulary, ids)

    def speculate(self, command: Speculate) -> Chains:
        """Return a chain a row, drafted token by token; rows that have ended take no more part."""
        if self.tree is not None:
            return self._speculate_trees(_pruned(self.tree, command.nodes), command)
        chains = [Growing(line) for line in command.lines]
        for step in range(command.stopping.limit):
            growing = [chain for chain in chains if not command.stopping.ends(chain.confidences)]
            if not growing:
                break
            self._draft(growing, step)
        return Chains(tuple(chain.result(self._place(chain.line.slot)) for chain in chains))

    def _speculate_trees(self, tree: TokenTree, command: Speculate) -> Chains:
        self.behind = None  # where the blocks were there are these trees now
        growing_trees = [
            GrowingTree(tree, command.stopping.limit, line, Place(CHAINS, line.slot, 0))
            for line in command.lines
        ]
        if command.stopping.limit:
            texts = {line.slot: (line.tokens, len(line.tokens) - 1) for line in command.lines}
            found = self.reader.read(texts)
            logits = np.concatenate([found[line.slot] for line in command.lines])
            grow(self.reader, self.drafter, growing_trees, logits, self._write)
        shared = self.pages is not None
        return Chains(tuple(growing_tree.result(shared) for growing_tree in growing_trees))

    def fork(self, command: Fork) -> Forks:
        """Return the candidates after every node of a block a row (the "glue" pass).

        After a hit it computes the winning branch's entries anew, in the text's own place, instead
        of gathering them from the tree's: the pass is due in any case, and K + 1 tokens take it
        hardly longer than one.
        """
        self._read_blocks(command)
        parents = command.parents or tuple(chain_of(len(block)) for block in command.blocks)
        rows = zip(command.lines, command.blocks, parents, strict=True)
        return Forks(tuple(self._candidates(*row) for row in rows))

    def grow(self, command: Grow) -> Branches:
        """Return a branch for every outcome; a `Stop` may change that on the way."""
        if not self._holds_blocks(command):  # it does where a fork came before
            self._read_blocks(command)
        tree, stop = self._branches(command), None
        for _ in range(command.stopping.limit):
            stop = self.stop(command.stamp.run, command.stamp.number) or stop
            if (stop is not None and not tree.narrow(stop)) or not any(tree.live):
                break
            tree.grow(self._write)
        return tree.result(shared=self.pages is not None)

    def warm_up(self, command: Begin) -> Paces:
        """Return the seconds of a step, of the glue pass, and of tree steps by branches."""
        slots, width = command.slots, command.lookahead + 1
        found = {
            "step": ((slots, self._seconds(np.ones(slots, int))),),
            "glue": ((slots * width, self._seconds(np.full(slots, width))),),
            "tree": tuple(
                (slots * branches, self._seconds(np.full(slots, branches)))
                for branches in WARM_UP_BRANCHES
                if branches <= command.capacity
            ),
        }
        self.reader.texts = [[] for _ in range(slots)]
        return Paces(found)

    def _seconds(self, widths: NDArray[np.int_]) -> float:
        texts = {slot: ((0,) * int(width), 0) for slot, width in enumerate(widths)}

        def work() -> None:
            self.reader.texts = [[] for _ in texts]
            self.reader.read(texts)

        return median_seconds(work)

    def _draft(self, chains: Sequence["Growing"], step: int) -> None:
        """Draft one token a chain."""
        logits = self._last_logits(chains)
        where = [(chain.line.seq, len(chain.text)) for chain in chains]
        tokens, confident, rows = self.drafter.choose(logits, where, step)
        for at, chain in enumerate(chains):
            chain.take(int(tokens[at]), float(confident[at]))
            if rows is not None:
                self._write(Place(CHAINS, chain.line.slot, 0), step, rows[at])

    def _last_logits(self, chains: Sequence["Growing"]) -> Logits:
        found = self.reader.read(
            {chain.line.slot: (chain.text, len(chain.text) - 1) for chain in chains}
        )
        return np.concatenate([found[chain.line.slot] for chain in chains])

    def _branches(self, command: Grow) -> Tree:
        """Return the tree that is to be grown."""
        if self.tree is None:
            return Tree(self.reader, self.drafter, command)
        return GrowingTrees(self.reader, self.drafter, command, _pruned(self.tree, command.nodes))

    def _read_blocks(self, command: Fork | Grow) -> None:
        if self.tree is not None:
            rows = zip(command.lines, command.blocks, command.parents, strict=True)
            self.forked = self.reader.read_trees(
                {line.slot: (line.tokens, (block, parents)) for line, block, parents in rows}
            )
            self.behind = command.lines, command.blocks, command.parents
            return
        self.forked = self.reader.read(
            {
                line.slot: ((*line.tokens, *block), len(line.tokens) - 1)
                for line, block in zip(command.lines, command.blocks, strict=True)
            }
        )

    def _holds_blocks(self, command: Grow) -> bool:
        if self.tree is not None:
            return bool(self.behind == (command.lines, command.blocks, command.parents))
        return all(
            self.reader.texts[line.slot] == [*line.tokens, *block]
            for line, block in zip(command.lines, command.blocks, strict=True)
        )

    def _candidates(
        self, line: Line, block: tuple[int, ...], parents: tuple[int, ...]
    ) -> Candidates:
        start = len(line.tokens)
        where: list[Where] = [(line.seq, start + depth) for depth in depths(parents)]
        sent = [[block[child - 1] for child in after] for after in children(parents)]
        count, logits = self.shape.candidates, self.forked[line.slot]
        ids, beliefs = self.drafter.candidates(logits, where, sent, count)
        return Candidates(table(ids), table(beliefs))

    def _place(self, slot: int) -> Place | None:
        return None if self.pages is None else Place(CHAINS, slot, 0)

    def _write(self, place: Place, step: int, row: Logits) -> None:
        if self.pages is not None:
            self.pages.write(place, step, row)


def _pruned(tree: TokenTree, nodes: int | None) -> TokenTree:
    return tree if nodes is None else tree.at_most(nodes)


class Growing:
    """A row's text while the draft continues it."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.text = list(line.tokens)
        self.confidences: list[float] = []

    def take(self, token: int, confidence: float) -> None:
        """Go on with a token."""
        self.text.append(token)
        self.confidences.append(confidence)

    def result(self, place: Place | None) -> Chain:
        """Return what was drafted."""
        drafted = tuple(self.text[len(self.line.tokens) :])
        return Chain(drafted, tuple(self.confidences), place)


def table(values: NDArray[Any]) -> tuple[tuple[Any, ...], ...]:
    """Return rows of numbers as plain tuples."""
    return tuple(map(tuple, values.tolist()))
