"""The target's worker: verifies blocks in passes of one fixed shape, and scores texts."""

import numpy as np

from ssdreal.channel.message_parts import Block
from ssdreal.channel.messages import Begin, Paces, Score, Scores, Verified, Verify
from ssdreal.serving.sampling import Ints
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

    def verify(self, command: Verify) -> Verified:
        """Return how many tokens of every row are accepted, and the one that follows.

        Of a tree, return the last accepted node, 1 for its first.
        """
        if self.tree is not None:
            return self._verify_trees(command)
        logits = self.reader.read(
            {
                line.slot: ((*line.tokens, *block.tokens), len(line.tokens) - 1)
                for line, block in zip(command.lines, command.blocks, strict=True)
            },
            self.shape.width,
        )
        return Verified(
            tuple(
                self.verifier.verify(
                    logits[line.slot], line.seq, len(line.tokens), block.tokens, self._drafts(block)
                )
                for line, block in zip(command.lines, command.blocks, strict=True)
            )
        )

    def _verify_trees(self, command: Verify) -> Verified:
        rows = list(zip(command.lines, command.blocks, strict=True))
        trees = {line.slot: (line.tokens, (block.tokens, block.parents)) for line, block in rows}
        logits = self.reader.read_trees(trees, self.shape.width)
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
        """Return the seconds of a verify over the run's tokens."""
        slots, text = range(command.slots), (0,) * command.width
        tree = self.tree and parents_of(self.tree.grow(command.lookahead, halving))

        def verify() -> None:
            self.reader.texts = [[] for _ in slots]
            if tree:
                block = ((0,) * len(tree), tree)
                self.reader.read_trees(dict.fromkeys(slots, ((0,), block)), command.width)
            else:
                self.reader.read(dict.fromkeys(slots, (text, 0)), command.width)

        seconds = median_seconds(verify)
        self.reader.texts = [[] for _ in slots]
        return Paces({"verify": ((command.slots * command.width, seconds),)})

    def _drafts(self, block: Block) -> Drafts | None:
        if block.place is None or self.pages is None:
            return None
        sampled_after = len(set(block.parents)) if block.parents else len(block.tokens)
        rows = self.pages.read(block.place, sampled_after)
        if not isinstance(rows, np.ndarray):  # they lie on a device
            rows = rows.cpu().numpy()
        return Drafts(rows, self.draft_ids, self.model.vocabulary)
