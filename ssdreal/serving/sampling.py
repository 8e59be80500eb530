"""How a draft chooses and ranks tokens, and how a target verifies them, from real logits.

The rules are ssdsim's (`ssdsim.verification`); here they meet vocabularies of fifty thousand ids,
so rows of a target are processed only as far as a verification looks at them. A draft may know a
part of the vocabulary only: row r of its logits stands for token `ids[r]`, ids ascending.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssdsim.acceptance.base import Sampling
from ssdsim.errors import require
from ssdsim.noise import Noise
from ssdsim.ranking import best, top
from ssdsim.verification import (
    Array,
    certain,
    perturb,
    process,
    verify_maximal,
)

Logits = NDArray[np.float32]
Ints = NDArray[np.int64]
Where = tuple[int, int]
"""A token's address: its sequence and its absolute position in it."""

REMEMBERED = 96
BLOCK = 64


@dataclass(frozen=True)
class Decoding(Sampling):
    """How tokens are sampled from real logits.

    Attributes
    ----------
    top_k
        Keep this many tokens; 0 keeps all.
    top_p
        Keep the fewest best tokens that together have this probability; 1 keeps all.

    """

    top_k: int = 0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.top_k >= 0, "top_k", self.top_k, "must be 0 (all) or more")
        require(0 < self.top_p <= 1, "top_p", self.top_p, "must be over 0 and at most 1")

    @property
    def greedy(self) -> bool:
        """Whether nothing is left to chance, nor to noise."""
        return self.temperature == 0

    @property
    def perturbed(self) -> bool:
        """Whether both models add the same known noise."""
        return not self.greedy and self.coupling == "gumbel"

    @property
    def truncates(self) -> bool:
        """Whether some tokens are never sampled."""
        return self.top_k > 0 or self.top_p < 1

    @property
    def needs_probabilities(self) -> bool:
        """Whether a verification asks for the probabilities that tokens were drafted with."""
        return not self.greedy and self.coupling == "maximal"


class Sampler:
    """What both sides share: the run's settings and its noise.

    Parameters
    ----------
    decoding
        How tokens are sampled.
    seed
        Of all noise.
    vocabulary
        V, token ids of the target.
    ids
        The token ids that this model's logits stand for, ascending; None: all of them.

    """

    def __init__(
        self, decoding: Decoding, seed: int, vocabulary: int, ids: Ints | None = None
    ) -> None:
        self.decoding, self.seed, self.vocabulary, self.ids = decoding, seed, vocabulary, ids
        self.noise = lru_cache(maxsize=None)(lambda seq: Noise(seed, seq))
        self.gumbel = lru_cache(maxsize=REMEMBERED)(self._gumbel)

    def probabilities(self, logits: Logits) -> Array:
        """Return the processed distributions, shape (..., rows)."""
        decoding = self.decoding
        return process(logits, decoding.temperature, decoding.top_k, decoding.top_p)

    def scores(self, logits: Logits, where: Sequence[Where]) -> Logits:
        """Return what ranks tokens, shape (n, rows), for n rows of logits at these addresses."""
        decoding = self.decoding
        if not decoding.perturbed:
            return logits
        # Without truncation log p is logits / T but for a number that all tokens of a row share.
        scores = (
            np.asarray(perturb(self.probabilities(logits), 0.0), np.float32)
            if decoding.truncates
            else logits / np.float32(decoding.temperature)
        )
        for row, at in enumerate(where):
            scores[row] += self.gumbel(*at)
        return scores

    def _gumbel(self, seq: int, position: int) -> Logits:
        # Both models draw the noise of the whole vocabulary: ids, not rows, have addresses.
        gumbel = np.asarray(self.noise(seq).gumbel(position, self.vocabulary), np.float32)
        return gumbel if self.ids is None else gumbel[self.ids]


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
        self, logits: Logits, where: Sequence[Where], sent: Sequence[int | None], count: int
    ) -> tuple[Ints, Array]:
        """Return ids and probabilities of the `count` best tokens of each row, best first.

        Parameters
        ----------
        logits, where
            As in `choose`, a row a node.
        sent
            The token drafted after each node, which is left out; None at the last.
        count
            How many; fewer come where the vocabulary ends.

        """
        scores = self.scores(logits, where)
        rows = top(scores, min(count + 1, scores.shape[-1]))
        belief = self._belief(logits, scores)
        chosen = [self._without(row, token)[:count] for row, token in zip(rows, sent, strict=True)]
        kept = np.stack([row[: min(map(len, chosen))] for row in chosen])
        beliefs: NDArray[Any] = np.take_along_axis(belief, kept, axis=-1)
        return self.named(kept), beliefs

    def _sampled(
        self, logits: Logits, where: Sequence[Where], step: int
    ) -> tuple[Ints, Array, Logits]:
        q = self._quick_probabilities(logits)
        sends = self._held_back(q)
        uniforms = [self.noise(seq).uniform(at, "propose", step) for seq, at in where]
        rows = samples(sends, np.array(uniforms))
        confident: NDArray[Any] = np.take_along_axis(q, rows[:, None], axis=-1)[:, 0]
        return self.named(rows), np.asarray(confident, np.float64), sends

    def _quick_probabilities(self, logits: Logits) -> Logits:
        """Return what tokens are sampled from, in float32: a draft may be wrong, but not slow."""
        if self.decoding.truncates:
            return np.asarray(self.probabilities(logits), np.float32)
        return _softmax(logits / np.float32(self.decoding.temperature))

    def _held_back(self, q: Logits) -> Logits:
        """Return numbers ∝ q' of Saguaro sampling (`ssdsim.verification.saguaro`)."""
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

    def _without(self, rows: NDArray[np.intp], token: int | None) -> NDArray[np.intp]:
        return rows if token is None else rows[self.named(rows) != token]


def samples(weights: Logits, uniforms: Array) -> NDArray[np.intp]:
    """Return a column of each row, with chances ∝ its weights; see `ssdsim.verification.sample`.

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
    """What a chain was sampled from: (K, rows) numbers ∝ q, the rows' token ids, and V."""

    rows: Logits
    ids: Ints | None
    vocabulary: int

    def row(self, k: int) -> Array:
        """Return q over the whole vocabulary for drafted token k, shape (V,)."""
        weights: Array = np.asarray(self.rows[k], np.float64)
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
