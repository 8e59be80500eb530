"""How tokens are sampled from real logits: what draft and target share.

The rules are ssdsim's (`ssdsim.sampling.verification`); here they meet vocabularies of fifty
thousand ids. A draft may know a part of the vocabulary only: row r of its
logits stands for token `ids[r]`, ids ascending.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ssdsim.acceptance.base import Sampling
from ssdsim.errors import require
from ssdsim.sampling.noise import Noise
from ssdsim.sampling.verification import Array, perturb, process

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
