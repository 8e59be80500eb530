"""Accepts or rejects drafted tokens, given the target's logits.

Rows are processed only as far as a verification looks at them.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ssdreal.channel.message_parts import Block
from ssdreal.serving.sampling import Ints, Logits, Sampler
from ssdsim.outcomes import children
from ssdsim.sampling.distributions import Array, certain, sample
from ssdsim.sampling.ranking import best
from ssdsim.sampling.verification import verify_maximal, verify_siblings


class Verifier(Sampler):
    """Verifies drafted tokens against a target's logits."""

    def verify(
        self, logits: Logits, seq: int, start: int, tokens: Sequence[int], q: "Drafts | None"
    ) -> tuple[int, int]:
        """Verify a chain.

        Parameters
        ----------
        logits
            The target's after 0 .. K drafted tokens, shape (K + 1, V).
        seq, start
            The sequence, and the absolute position of the first drafted token.
        tokens
            The K drafted tokens.
        q
            What they were sampled from; None where the drafter was sure of each.

        Returns
        -------
        tuple
            How many tokens are accepted, 0 .. K, and the id of the token that follows them.

        """
        if not self.decoding.needs_probabilities:
            return self._follow(logits, seq, start, tokens)
        p = _Rows(len(tokens) + 1, lambda k: self.probabilities(logits[k]))
        sampled_from = (lambda k: certain(tokens[k], self.vocabulary)) if q is None else q.row
        rows = _Rows(len(tokens), sampled_from)
        return verify_maximal(p, rows, tokens, self.noise(seq).block(start, len(tokens) + 1))

    def verify_tree(
        self, logits: Logits, seq: int, start: int, block: Block, q: "Drafts | None"
    ) -> tuple[int, int]:
        """Verify a token tree.

        Parameters
        ----------
        logits
            The target's after the text and every node, shape (1 + nodes, V).
        seq, start
            As in `verify`: `start` is the position of the tree's first level.
        block
            Tokens and parents.
        q
            What children were sampled from, a row a node that has any. None where they are not
            samples but were proposed with certainty: a child is accepted exactly if it is the
            target's own token, whatever the draft's probability of it.

        Returns
        -------
        tuple
            The last accepted node, 1 for the first and 0 for none, and the id of the token that
            follows it.

        """
        inner = sorted({parent + 1 for parent in block.parents})
        node = depth = 0
        while True:
            following = children(block.parents)[node]
            sent, at = [block.tokens[child - 1] for child in following], (seq, start + depth)
            if q is None or not sent:
                token = self._next(logits[node], *at)
                child = sent.index(token) if token in sent else None
            else:
                child, token = self._tried(logits[node], *at, sent, q.row(inner.index(node)))
            if child is None:
                return node, token
            node, depth = following[child], depth + 1

    def _next(self, logits: Logits, seq: int, position: int) -> int:
        """Return the token that the target alone would write."""
        if not self.decoding.needs_probabilities:
            return self.own(logits, seq, position)
        return sample(self.probabilities(logits), self.noise(seq).uniform(position, "bonus"))

    def _tried(
        self, logits: Logits, seq: int, position: int, sent: Sequence[int], q: Array
    ) -> tuple[int | None, int]:
        """Return which sampled child is accepted, None if none is, and the token there."""
        noise = self.noise(seq)
        accept = [noise.uniform(position, "accept", sibling) for sibling in range(len(sent))]
        left = noise.uniform(position, "residual")
        return verify_siblings(self.probabilities(logits), q, sent, accept, left)

    def own(self, logits: Logits, seq: int, position: int) -> int:
        """Return the target's own choice at a position, where nothing is left to chance."""
        return int(best(self.scores(logits[None], [(seq, position)])[0]))

    def _follow(
        self, logits: Logits, seq: int, start: int, tokens: Sequence[int]
    ) -> tuple[int, int]:
        for k, token in enumerate(tokens):
            own = self.own(logits[k], seq, start + k)
            if own != token:
                return k, own
        return len(tokens), self.own(logits[len(tokens)], seq, start + len(tokens))


@dataclass(frozen=True)
class Drafts:
    """What tokens were sampled from: (K, rows) numbers ∝ q, the rows' token ids, and V.

    A row a token of a chain, or a node of a tree that has children.
    """

    rows: Logits
    ids: Ints | None
    vocabulary: int

    def row(self, k: int) -> Array:
        """Return q over the whole vocabulary for drafted token k, shape (V,)."""
        weights: Array = np.asarray(self.rows[k], np.float64)
        with np.errstate(invalid="ignore"):  # numbers that make up no q are rejected as none
            weights = np.asarray(weights / weights.sum())
        if self.ids is None:
            return weights
        q = np.zeros(self.vocabulary)
        q[self.ids] = weights
        return q


class _Rows(Sequence[Array]):
    """Rows that are computed when they are first looked at."""

    def __init__(self, length: int, row: Callable[[int], Array]) -> None:
        self.length = length
        self.row = lru_cache(maxsize=None)(row)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, k: Any) -> Any:
        return self.row(k)

    def __iter__(self) -> Iterator[Array]:
        yield from map(self.row, range(self.length))
