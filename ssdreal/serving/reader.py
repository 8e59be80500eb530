"""A model with its KV cache: tracks which tokens it holds, and computes only the new ones."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import perf_counter_ns

import numpy as np
import torch
from numpy.typing import NDArray

from ssdreal.models.model import Model
from ssdreal.models.pass_request import chain_mask
from ssdreal.models.tree_paths import TreePaths, tree_paths_of
from ssdreal.serving.sampling import Logits
from ssdsim.outcomes import depths

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Block = tuple[Sequence[int], Sequence[int]]
"""A token tree: its tokens, and for each the index of the one before it, -1 for the text."""


class Reader:
    """A model with a cache that holds one text a slot.

    Parameters
    ----------
    model
        The model.
    slots, capacity
        Texts side by side, and the most tokens of each.
    fixed
        Whether every pass attends to the whole capacity, so that its shape, and with it the
        rounding of every sum, is the same wherever in the text it happens.

    Attributes
    ----------
    texts
        The token ids that each slot's cache holds, from the start.
    spent
        Nanoseconds spent in passes of the model so far.

    """

    def __init__(self, model: Model, slots: int, capacity: int, *, fixed: bool) -> None:
        self.model, self.capacity, self.fixed = model, capacity, fixed
        self.cache = model.cache(slots, capacity)
        self.texts: list[list[int]] = [[] for _ in range(slots)]
        self.spent = 0

    @contextmanager
    def reading_as(self, model: Model, texts: Mapping[int, Sequence[int]]) -> Iterator[None]:
        """Let another model of the same cache read on from these texts' last tokens for a while.

        What it computes is forgotten, and so is what it may write over.
        """
        for slot, text in texts.items():
            self.texts[slot] = self.texts[slot][: self.known(slot, text[:-1])]
        own = self.model, self.fixed, self.texts
        self.model, self.fixed, self.texts = model, False, list(self.texts)
        try:
            yield
        finally:
            self.model, self.fixed, self.texts = own

    def prefill(self, slot: int, text: Sequence[int]) -> None:
        """Read a new text from its start, alone, so that its shape is its own.

        What is left of an earlier text is not used, even where it is the same: it may have been
        computed at another shape.
        """
        self.texts[slot] = list(text)
        if text:
            at = np.arange(len(text))[None]
            self._pass(np.array([text], np.int64), at, at, len(text), alone=slot)

    def read(
        self, texts: Mapping[int, tuple[Sequence[int], int]], width: int | None = None
    ) -> dict[int, Logits]:
        """Make slots hold these texts, and return the logits after some of their tokens.

        Parameters
        ----------
        texts
            For each slot its text, and the place of the first token whose logits are wanted.
        width
            Tokens of a row in a pass; None: as many as are new.

        Returns
        -------
        dict
            For each slot the logits after each token from that place on, (tokens, head rows).

        """
        starts = {slot: min(self.known(slot, text), first) for slot, (text, first) in texts.items()}
        width = width or max(len(text) - starts[slot] for slot, (text, _) in texts.items())
        found: dict[int, list[Logits]] = {slot: [] for slot in texts}
        while any(starts[slot] < len(text) for slot, (text, _) in texts.items()):
            logits = self._read_on({slot: text for slot, (text, _) in texts.items()}, starts, width)
            for slot, (text, first) in texts.items():
                wanted = slice(max(first - starts[slot], 0), max(len(text) - starts[slot], 0))
                found[slot].append(logits[slot, wanted])
                starts[slot] += width
        for slot, (text, _) in texts.items():
            self.texts[slot] = list(text)
        return {
            slot: parts[0] if len(parts) == 1 else np.concatenate(parts)
            for slot, parts in found.items()
        }

    def read_before(self, texts: Mapping[int, tuple[Sequence[int], int]], width: int) -> None:
        """Read what lies before each text's place, if that is not known. It hardly ever happens."""
        behind = {
            slot: (text[:first], first - 1)
            for slot, (text, first) in texts.items()
            if self.known(slot, text) < first
        }
        if behind:
            self.read(behind, width)

    def read_trees(
        self, trees: Mapping[int, tuple[Sequence[int], Block]], width: int | None = None
    ) -> dict[int, Logits]:
        """Make slots hold texts, and return the logits after their last tokens and what may follow.

        A pass over trees gives the very logits that one over chains would.

        Parameters
        ----------
        trees
            For each slot its text, and a token tree behind that: tokens and parents.
        width
            Tokens of a row in the pass; None: as many as the largest tree needs.

        Returns
        -------
        dict
            For each slot the logits after text and every node, (1 + nodes, head rows).

        """
        logits = self._pass(*self.block_of(trees, width))
        return {slot: logits[slot, : 1 + len(nodes)] for slot, (_, (nodes, _)) in trees.items()}

    def block_of(
        self, trees: Mapping[int, tuple[Sequence[int], Block]], width: int | None
    ) -> tuple[Ints, Ints, Ints, int, TreePaths]:
        """Read what lies before the trees, and return what a pass over them is asked for."""
        behind = {
            slot: (text[:-1], len(text) - 1)
            for slot, (text, _) in trees.items()
            if self.known(slot, text) < len(text) - 1
        }
        if behind:
            self.read(behind, width)
        blocks = [trees[slot][1] if slot in trees else ((), ()) for slot in range(len(self.texts))]
        width = width or 1 + max(len(tokens) for tokens, _ in blocks)
        tokens = np.zeros((len(blocks), width), np.int64)
        # A slot without a tree has its junk behind what it holds, like what fills up a row.
        first = np.array([min(len(text), self.capacity - width) for text in self.texts])
        positions = np.repeat(first[:, None], width, axis=1)
        for slot, (text, (nodes, parents)) in trees.items():
            first[slot] = len(text) - 1
            tokens[slot, : 1 + len(nodes)] = [text[-1], *nodes]
            positions[slot] = len(text) - 1
            positions[slot, : 1 + len(nodes)] += depths(tuple(parents))
            self.texts[slot] = list(text)
        at = first[:, None] + np.arange(width)
        extent = self.capacity if self.fixed else int(at.max()) + 1
        tree_paths = tree_paths_of([parents for _, parents in blocks], first.tolist(), width)
        return tokens, positions, at, extent, tree_paths

    def keep(self, slot: int, tokens: Sequence[int], nodes: Sequence[int]) -> None:
        """Let a slot's text go on by a way of the tree that was read behind it; 1 is node 0.

        What a token's entry holds depends on its way alone, so it can be moved to where a chain
        would have it.
        """
        end = len(self.texts[slot])
        entries = [end - 1 + node for node in nodes]
        if entries != list(range(end, end + len(nodes))):
            self.cache.gather(slot, entries, end)
        self.texts[slot] += tokens

    def look(self, tokens: Ints, positions: Ints, at: Ints, sees: Bools) -> Logits:
        """Compute one pass over tokens that are no part of any text: the branches of a tree.

        Parameters
        ----------
        tokens, positions, at
            (slots, N): ids, positions, and the entries of the cache to use.
        sees
            (slots, N, extent): which entries each token sees.

        Returns
        -------
        array
            Logits after each, (slots, N, head rows).

        """
        return self._pass(tokens, positions, at, sees.shape[-1], mask=torch.from_numpy(sees))

    def known(self, slot: int, text: Sequence[int]) -> int:
        """Count the tokens at the start of `text` that the slot's cache holds already."""
        held, text = self.texts[slot], list(text)
        same = min(len(held), len(text))
        while held[:same] != text[:same]:
            same -= 1
        return same

    def _read_on(
        self, texts: Mapping[int, Sequence[int]], starts: Mapping[int, int], width: int
    ) -> Logits:
        """Compute the next `width` tokens of every text."""
        tokens, at, extent = self.next_block(texts, starts, width)
        return self._pass(tokens, at, at, extent)

    def next_block(
        self, texts: Mapping[int, Sequence[int]], starts: Mapping[int, int], width: int
    ) -> tuple[Ints, Ints, int]:
        """Return the next `width` tokens of every text, their entries, and up to where these go.

        Junk follows where a text ends before.
        """
        tokens = np.zeros((len(self.texts), width), np.int64)
        # A slot without a text, or with one that is read, has its junk behind what it holds.
        begin = np.array([len(text) for text in self.texts])
        for slot, text in texts.items():
            begin[slot] = starts[slot]
            new = text[starts[slot] : starts[slot] + width]
            tokens[slot, : len(new)] = new
        at = np.minimum(begin[:, None] + np.arange(width), self.capacity - 1)
        return tokens, at, self.capacity if self.fixed else int(at.max()) + 1

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Count what is done meanwhile as spent in passes."""
        began = perf_counter_ns()
        yield
        self.spent += perf_counter_ns() - began

    def _pass(
        self,
        tokens: Ints,
        positions: Ints,
        at: Ints,
        extent: int,
        mask: torch.Tensor | TreePaths | None = None,
        alone: int | None = None,
    ) -> Logits:
        with self.timed():
            logits = self.model.forward(
                self.cache if alone is None else self.cache.alone(alone),
                torch.from_numpy(tokens),
                torch.from_numpy(positions),
                torch.from_numpy(at),
                chain_mask(at, extent) if mask is None else mask,
                extent,
                logits=alone is None,
            )
            return np.empty(0, np.float32) if logits is None else logits.cpu().numpy()
