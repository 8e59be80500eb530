"""The draft's side: chains, candidates, and trees of branches."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssdreal.channel.messages import (
    Begin,
    Branches,
    Candidates,
    Chain,
    Chains,
    Fork,
    Forks,
    Grow,
    Line,
    Paces,
    Speculate,
)
from ssdreal.channel.pages import CHAINS, Place
from ssdreal.serving.drafter import Drafter
from ssdreal.serving.sampling import Logits, Where
from ssdreal.serving.server import Server, median_seconds
from ssdreal.serving.tree import Tree

WARM_UP_BRANCHES = (1, 8, 24, 64)


class DraftServer(Server):
    """Drafts."""

    fixed, role = False, "draft"

    def prepare(self, command: Begin) -> None:
        """Make the drafter."""
        ids = None if self.model.ids is None else self.model.ids.cpu().numpy()
        self.drafter = Drafter(command.decoding, command.seed, self.model.vocabulary, ids)

    def speculate(self, command: Speculate) -> Chains:
        """Return a chain a row, drafted token by token; rows that have ended take no more part."""
        chains = [Growing(line) for line in command.lines]
        for step in range(command.stopping.limit):
            growing = [chain for chain in chains if not command.stopping.ends(chain.confidences)]
            if not growing:
                break
            self._draft(growing, step)
        return Chains(tuple(chain.result(self._place(chain.line.slot)) for chain in chains))

    def fork(self, command: Fork) -> Forks:
        """Return the candidates after every node of a block a row (the "glue" pass).

        After a hit it computes the winning branch's entries anew, in the text's own place, instead
        of gathering them from the tree's: the pass is due in any case, and K + 1 tokens take it
        hardly longer than one.
        """
        self._read_blocks(command)
        return Forks(
            tuple(
                self._candidates(line, block, self.forked[line.slot])
                for line, block in zip(command.lines, command.blocks, strict=True)
            )
        )

    def grow(self, command: Grow) -> Branches:
        """Return a branch for every outcome; a `Stop` may change that on the way."""
        if not self._holds_blocks(command):  # it does where a fork came before
            self._read_blocks(command)
        tree, stop = self._branches(command), None
        for step in range(command.stopping.limit):
            stop = self.stop(command.stamp.run, command.stamp.number) or stop
            if (stop is not None and not tree.narrow(stop)) or not any(tree.live):
                break
            for place, row in tree.grow():
                self._write(place, step, row)
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
        return Tree(self.reader, self.drafter, command)

    def _read_blocks(self, command: Fork | Grow) -> None:
        self.forked = self.reader.read(
            {
                line.slot: ((*line.tokens, *block), len(line.tokens) - 1)
                for line, block in zip(command.lines, command.blocks, strict=True)
            }
        )

    def _holds_blocks(self, command: Grow) -> bool:
        return all(
            self.reader.texts[line.slot] == [*line.tokens, *block]
            for line, block in zip(command.lines, command.blocks, strict=True)
        )

    def _candidates(self, line: Line, block: tuple[int, ...], logits: Logits) -> Candidates:
        where: list[Where] = [(line.seq, len(line.tokens) + node) for node in range(len(logits))]
        ids, beliefs = self.drafter.candidates(logits, where, (*block, None), self.shape.candidates)
        return Candidates(_rows(ids), _rows(beliefs))

    def _place(self, slot: int) -> Place | None:
        return None if self.pages is None else Place(CHAINS, slot, 0)

    def _write(self, place: Place, step: int, row: Logits) -> None:
        if self.pages is not None:
            self.pages.write(place, step, row)


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


def _rows(table: NDArray[Any]) -> tuple[tuple[Any, ...], ...]:
    return tuple(map(tuple, table.tolist()))
