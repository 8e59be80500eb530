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
from ssdsim.ranking import best
from ssdsim.verification import (
    Array,
    certain,
    perturb,
    process,
    saguaro,
    sample,
    softmax,
    verify_maximal,
)

Logits = NDArray[np.float32]
Ints = NDArray[np.int64]
Where = tuple[int, int]
"""A token's address: its sequence and its absolute position in it."""

REMEMBERED = 96


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

    def scores(self, logits: Logits, where: Sequence[Where]) -> NDArray[np.floating]:
        """Return what ranks tokens, shape (n, rows), for n rows of logits at these addresses."""
        if not self.decoding.perturbed:
            return logits
        gumbel = np.stack([self.gumbel(*at) for at in where])
        return perturb(self.probabilities(logits), gumbel)

    def _gumbel(self, seq: int, position: int) -> Array:
        # Both models draw the noise of the whole vocabulary: ids, not rows, have addresses.
        gumbel = self.noise(seq).gumbel(position, self.vocabulary)
        return gumbel if self.ids is None else gumbel[self.ids]


class Drafter(Sampler):
    """Chooses tokens from a draft's logits, and ranks candidates."""

    def choose(self, logits: Logits, where: Sequence[Where]) -> tuple[Ints, Array, Logits | None]:
        """Draft one token a row.

        Parameters
        ----------
        logits
            Shape (n, rows).
        where
            The n addresses of the drafted tokens.

        Returns
        -------
        tuple
            Token ids (n,), the draft's probability of each (n,), and the distributions they were
            sampled from, (n, rows); None where sampling leaves nothing to chance.

        """
        if self.decoding.needs_probabilities:
            return self._sampled(logits, where)
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
        scores = np.asarray(self.scores(logits, where), np.float32)
        rows = _ordered(scores, min(count + 1, scores.shape[-1]))
        belief = self._belief(logits, scores)
        chosen = [self._without(row, token)[:count] for row, token in zip(rows, sent, strict=True)]
        kept = np.stack([row[: min(map(len, chosen))] for row in chosen])
        return self.named(kept), np.take_along_axis(belief, kept, axis=-1)

    def _sampled(self, logits: Logits, where: Sequence[Where]) -> tuple[Ints, Array, Logits]:
        q = self.probabilities(logits)
        sends = np.asarray(np.stack([self._held_back(row) for row in q]), np.float32)
        rows = np.array(
            [
                sample(row.astype(np.float64), self.noise(seq).uniform(position, "propose"))
                for row, (seq, position) in zip(sends, where, strict=True)
            ]
        )
        return self.named(rows), np.take_along_axis(q, rows[:, None], axis=-1)[:, 0], sends

    def _held_back(self, q: Array) -> Array:
        decoding = self.decoding
        return saguaro(q, decoding.saguaro_constant, decoding.saguaro_fanout)

    def _belief(self, logits: Logits, scores: Logits) -> Array:
        if self.decoding.needs_probabilities:
            return self.probabilities(logits)
        return softmax(scores)

    def _without(self, rows: NDArray[np.intp], token: int | None) -> NDArray[np.intp]:
        return rows if token is None else rows[self.named(rows) != token]


def _ordered(scores: Logits, count: int) -> NDArray[np.intp]:
    """Return the `count` best columns of each row, as `ssdsim.ranking` orders them."""
    # One number holds the score (its bits, made to sort as integers do) and, against ties, the
    # column; so one partition settles both.
    bits = (scores + np.float32(0)).view(np.int32).astype(np.int64)  # + 0 turns -0 into 0
    level = np.where(bits < 0, -(bits & 0x7FFFFFFF), bits)
    keys = (-level << 20) + np.arange(scores.shape[-1])
    most = np.partition(keys, count - 1, axis=-1)[:, :count] if count < keys.shape[-1] else keys
    return np.asarray(np.sort(most, axis=-1) & 0xFFFFF, np.intp)


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
