"""Chooses drafted tokens and ranks candidates from the draft's logits."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssdreal.serving.sampling import Ints, Logits, Sampler, Where, finite
from ssdsim.sampling.distributions import Array
from ssdsim.sampling.ranking import best, top

BLOCK = 64


class Drafter(Sampler):
    """Chooses tokens from a draft's logits, and ranks candidates."""

    def choose(
        self, logits: Logits, where: Sequence[Where], step: int
    ) -> tuple[Ints, Array, Logits | None]:
        """Draft one token a row.

        Parameters
        ----------
        logits
            Shape (n, rows).
        where
            The n addresses of the drafted tokens.
        step
            How many tokens their chains have so far. It is part of the noise's address, so that a
            chain shares none with what was dropped of the one before it: a policy may have looked
            at that when it decided what to cache.

        Returns
        -------
        tuple
            Token ids (n,), the draft's probability of each (n,), and the distributions they were
            sampled from, (n, rows); None where sampling leaves nothing to chance.

        """
        if self.decoding.needs_probabilities:
            return self._sampled(logits, where, step)
        scores = self.scores(logits, where)
        rows = best(scores)
        # exp(score - max) of the chosen token is 1: it is the best.
        sums = np.exp(scores - scores.max(axis=-1, keepdims=True)).sum(axis=-1, dtype=np.float64)
        return self.named(rows), 1.0 / sums, None

    def named(self, rows: NDArray[np.intp]) -> Ints:
        """Return the token ids of rows of the logits."""
        return np.asarray(rows if self.ids is None else self.ids[rows], np.int64)

    def candidates(
        self, logits: Logits, where: Sequence[Where], sent: Sequence[Sequence[int]], count: int
    ) -> tuple[Ints, Array]:
        """Return ids and probabilities of the `count` best tokens of each row, best first.

        Parameters
        ----------
        logits, where
            As in `choose`, a row a node.
        sent
            The tokens drafted after each node, which are left out.
        count
            How many; fewer come where the vocabulary ends.

        """
        scores = self.scores(logits, where)
        rows = top(scores, min(count + max(map(len, sent)), scores.shape[-1]))
        belief = self._belief(logits, scores)
        chosen = [self._without(row, out)[:count] for row, out in zip(rows, sent, strict=True)]
        kept = np.stack([row[: min(map(len, chosen))] for row in chosen])
        beliefs: NDArray[Any] = np.take_along_axis(belief, kept, axis=-1)
        return self.named(kept), beliefs

    def draw(
        self, logits: Logits, where: Sequence[Where], siblings: Sequence[Sequence[int]]
    ) -> tuple[list[Ints], list[Array], Logits]:
        """Sample some tokens a row, independently of each other.

        Parameters
        ----------
        logits, where
            As in `choose`.
        siblings
            For each row what tells the noise of its tokens apart.

        Returns
        -------
        tuple
            For each row its token ids and the draft's probabilities of them; and the
            distributions that they were sampled from, (n, rows).

        """
        q = self._quick_probabilities(logits)
        sends = self._held_back(q)
        addresses = list(zip(where, siblings, strict=True))
        uniforms = [
            self.noise(seq).uniform(at, "propose", one)
            for (seq, at), own in addresses
            for one in own
        ]
        each = np.repeat(np.arange(len(q)), [len(own) for own in siblings])
        alone = len(each) == len(q)  # then no row need be copied
        rows = samples(sends if alone else sends[each], np.array(uniforms))
        edges = np.cumsum([len(own) for own in siblings])[:-1]
        confident = q[each, rows].astype(np.float64)
        return np.split(self.named(rows), edges), np.split(confident, edges), sends

    def _sampled(
        self, logits: Logits, where: Sequence[Where], step: int
    ) -> tuple[Ints, Array, Logits]:
        tokens, confident, sends = self.draw(logits, where, [[step]] * len(where))
        return np.concatenate(tokens), np.concatenate(confident), sends

    def _quick_probabilities(self, logits: Logits) -> Logits:
        """Return what tokens are sampled from, in float32: a draft may be wrong, but not slow."""
        if self.decoding.truncates:
            return np.asarray(self.probabilities(logits), np.float32)
        return _softmax(finite(logits / np.float32(self.decoding.temperature)))

    def _held_back(self, q: Logits) -> Logits:
        """Return numbers ∝ q' of Saguaro sampling (`ssdsim.sampling.distributions.saguaro`)."""
        decoding = self.decoding
        if decoding.saguaro_constant == 1:
            return q
        held, best_ones = q.copy(), top(q, min(decoding.saguaro_fanout, q.shape[-1]))
        less = np.take_along_axis(q, best_ones, axis=-1) * np.float32(decoding.saguaro_constant)
        np.put_along_axis(held, best_ones, less, axis=-1)
        return held

    def _belief(self, logits: Logits, scores: Logits) -> Logits:
        if self.decoding.needs_probabilities:
            return self._quick_probabilities(logits)
        return _softmax(scores)

    def _without(self, rows: NDArray[np.intp], sent: Sequence[int]) -> NDArray[np.intp]:
        return rows[~np.isin(self.named(rows), sent)] if sent else rows


def samples(weights: Logits, uniforms: Array) -> NDArray[np.intp]:
    """Return a column of each row, with chances ∝ its weights (`verification.sample` of ssdsim).

    Sums are float64. First a row's block is picked, then the column in it: that needs no running
    sum over the whole row.

    Parameters
    ----------
    weights
        Shape (n, columns), 0 or more.
    uniforms
        Shape (n,), in (0, 1).

    """
    rows, columns = weights.shape
    size = BLOCK if columns % BLOCK == 0 else columns
    blocks = weights.reshape(rows, -1, size)
    edges = blocks.sum(axis=-1, dtype=np.float64).cumsum(axis=-1)
    aims = uniforms * edges[:, -1]
    return np.array([_column(*row) for row in zip(blocks, edges, aims, strict=True)])


def _column(blocks: Logits, edges: Array, aim: float) -> int:
    last = int(np.searchsorted(edges, edges[-1], side="left"))  # the last block with any weight
    block = min(int(np.searchsorted(edges, aim, side="right")), last)
    before = edges[block - 1] if block else 0.0
    inner = blocks[block].cumsum(dtype=np.float64)
    last = int(np.searchsorted(inner, inner[-1], side="left"))
    return block * len(inner) + min(int(np.searchsorted(inner, aim - before, side="right")), last)


def _softmax(scores: Logits) -> Logits:
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True), np.float32)
