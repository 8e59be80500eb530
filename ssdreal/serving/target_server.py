"""The target's worker: verifies blocks in passes of one fixed shape, and scores texts."""

from collections.abc import Callable, Mapping
from functools import partial
from time import perf_counter_ns
from typing import Any

import numpy as np

from ssdreal.channel.after_run import Score, Scores
from ssdreal.channel.message_parts import Block, Line
from ssdreal.channel.messages import Begin, Kinds, Paces, Prefill, Spoken, Verified, Verify
from ssdreal.serving.early_view import EarlyView
from ssdreal.serving.pass_in_two import chains_in_two, trees_in_two
from ssdreal.serving.sampling import Ints, Logits
from ssdreal.serving.server import Server, median_seconds
from ssdreal.serving.verifier import Drafts, Verifier
from ssdsim.outcomes import path_to
from ssdsim.trees.base import halving, parents_of


class TargetServer(Server):
    """Verifies; every pass of a run has the same shape."""

    fixed, role = True, "target"

    def prepare(self, command: Begin) -> None:
        """Make the verifier."""
        self.verifier = Verifier(command.decoding, command.seed, self.model.vocabulary)
        ids = command.draft_ids
        self.draft_ids: Ints | None = None if ids is None else np.array(ids)
        depth, exit_ = self.model.depth, command.exit
        self.early = None if exit_ is None else EarlyView(self.verifier, exit_, depth)

    def prefill(self, command: Prefill) -> None:
        """Read prompts alone, and what was decoded behind them in passes of a verify's shape.

        So a sequence that made room for others goes on from the very numbers that it had.
        """
        behind = {}
        for line, prompt in zip(command.lines, command.prompts, strict=True):
            self.reader.prefill(line.slot, line.tokens[: prompt - 1])
            if len(line.tokens) > prompt:
                behind[line.slot] = line.tokens[:-1], len(line.tokens) - 1
        if behind:
            self.reader.read(behind, self.shape.width)

    def verify(self, command: Verify) -> Verified:
        """Return how many tokens of every row are accepted, and the one that follows.

        Of a tree, return the last accepted node, 1 for its first.
        """
        if self.tree is not None:
            return self._verify_trees(command)
        texts = {
            line.slot: ((*line.tokens, *block.tokens), len(line.tokens) - 1)
            for line, block in zip(command.lines, command.blocks, strict=True)
        }
        logits = self._read(texts, command)
        return Verified(
            tuple(
                self.verifier.verify(
                    logits[line.slot], line.seq, len(line.tokens), block.tokens, self._drafts(block)
                )
                for line, block in zip(command.lines, command.blocks, strict=True)
            )
        )

    def _read(self, texts: Mapping[int, Any], command: Verify) -> dict[int, Logits]:
        """Read blocks, or trees, behind texts; speak on the way, where that is wanted."""
        if self.early is not None:
            return self._spoken(self.early, texts, command)()
        read = self.reader.read if self.tree is None else self.reader.read_trees
        return read(texts, self.shape.width)

    def _spoken(
        self, early: EarlyView, texts: Mapping[int, Any], command: Verify
    ) -> Callable[[], dict[int, Logits]]:
        """Tell what an early layer takes for likely; return what reads on."""
        read = chains_in_two if self.tree is None else trees_in_two
        logits, rest = read(self.reader, texts, self.shape.width, early.layer)
        rows = zip(command.lines, command.blocks, strict=True)
        views = tuple(early.of(line, block, logits[line.slot]) for line, block in rows)
        self.tell(Spoken(command.stamp, views, perf_counter_ns()))
        return rest

    def _verify_trees(self, command: Verify) -> Verified:
        rows = list(zip(command.lines, command.blocks, strict=True))
        trees = {line.slot: (line.tokens, (block.tokens, block.parents)) for line, block in rows}
        logits = self._read(trees, command)
        outcomes = []
        for line, block in rows:
            node, token = self.verifier.verify_tree(
                logits[line.slot], line.seq, len(line.tokens), block, self._drafts(block)
            )
            nodes = path_to(block.parents, node)
            self.reader.keep(line.slot, [block.tokens[at - 1] for at in nodes], nodes)
            outcomes.append((node, token))
        return Verified(tuple(outcomes))

    def score(self, command: Score) -> Scores:
        """Return the target's best token, and its lead over the text's, for every token."""
        (line,) = command.lines
        self.reader.prefill(line.slot, line.tokens[: command.start - 1])
        text = line.tokens[:-1]
        logits = self.reader.read({line.slot: (text, command.start - 1)}, self.shape.width)
        found = []
        for at, token in enumerate(line.tokens[command.start :]):
            where = [(line.seq, command.start + at)]
            scores = self.verifier.scores(logits[line.slot][at][None], where)[0]
            best = self.verifier.own(logits[line.slot][at], *where[0])
            found.append((best, float(scores[best] - scores[token])))
        return Scores(tuple(found))

    def warm_up(self, command: Begin) -> Paces:
        """Return the seconds of a verify over the run's tokens, and until it speaks."""
        tokens, early = command.slots * command.width, self.early
        found: Kinds = {"verify": ((tokens, median_seconds(partial(self._try, command))),)}
        if early is not None:
            spoken = partial(self._try, command, partial(self._spoken, early))
            found["exit"] = ((tokens, median_seconds(spoken)),)
        self.reader.texts = [[] for _ in range(command.slots)]
        return Paces(found, speaks_after=self.speaks_after)

    @property
    def speaks_after(self) -> tuple[int, int] | None:
        """Return after how many layers it speaks in mid-verify, and of how many; None: never."""
        return None if self.early is None else (self.early.layer, self.model.depth)

    def _try(self, command: Begin, read: Callable[..., object] | None = None) -> None:
        """Read blocks of a verify's shape; what is said of them is an answer to nothing."""
        slots = range(command.slots)
        self.reader.texts = [[] for _ in slots]
        grown = None if self.tree is None else self.tree.grow(command.lookahead, halving)
        tree = () if grown is None else parents_of(grown)
        text = (0,) * (command.width if grown is None else 1 + len(tree))
        lines = tuple(Line(slot, 0, slot, text[:1]) for slot in slots)
        verify = Verify(command.stamp, lines, (Block(text[1:], None, tree),) * command.slots)
        asked = (text, 0) if grown is None else (text[:1], (text[1:], tree))
        (read or self._read)(dict.fromkeys(slots, asked), verify)

    def _drafts(self, block: Block) -> Drafts | None:
        if block.place is None or self.pages is None:
            return None
        sampled_after = len(set(block.parents)) if block.parents else len(block.tokens)
        rows = self.pages.read(block.place, sampled_after)
        if not isinstance(rows, np.ndarray):  # they lie on a device
            rows = rows.cpu().numpy()
        return Drafts(rows, self.draft_ids, self.model.vocabulary)
