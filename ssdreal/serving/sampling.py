"""Sampling from real logits: the settings and noise that draft and target share.

The rules are ssdsim's (`ssdsim.sampling.verification`); here they meet vocabularies of fifty
thousand ids. A draft may know a part of the vocabulary only: row r of its
logits stands for token `ids[r]`, ids ascending.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssdsim.errors import RunError
from ssdsim.sampling.distributions import Array, perturb, process
from ssdsim.sampling.noise import Noise
from ssdsim.sampling.settings import Decoding

Logits = NDArray[np.float32]
Ints = NDArray[np.int64]
Where = tuple[int, int]
"""A token's address: its sequence and its absolute position in it."""

REMEMBERED = 96


class NotFinite(RunError):  # noqa: N818 - that is what is wrong
    """A model's logits leave no distribution to sample from; the message says so."""

    def __init__(self) -> None:
        super().__init__("its logits are NaN or infinite, as damaged weights or an overflow leave")


def finite(logits: Logits) -> Logits:
    """Return logits, (..., rows), if every row has a best token.

    One NaN or +inf makes a row's maximum such, and so do scores that are all -inf; a single -inf
    is a token without a chance.

    Raises
    ------
    NotFinite
        A row has none.

    """
    if not np.isfinite(logits.max(axis=-1)).all():
        raise NotFinite
    return logits


def defined(chances: "Array | np.float64") -> Any:
    """Return a draft's probabilities of tokens, if the logits that they come from had any to give.

    Raises
    ------
    NotFinite
        They had none for one of the tokens.

    """
    if np.isnan(chances).any():
        raise NotFinite
    return chances


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
        """Return the processed distributions, shape (..., rows).

        Raises
        ------
        NotFinite
            There is none.

        """
        decoding = self.decoding
        return process(finite(logits), decoding.temperature, decoding.top_k, decoding.top_p)

    def scores(self, logits: Logits, where: Sequence[Where]) -> Logits:
        """Return what ranks tokens, shape (n, rows), for n rows of logits at these addresses.

        Raises
        ------
        NotFinite
            Nothing does: no row of scores is without a best one.

        """
        decoding = self.decoding
        if not decoding.perturbed:
            return finite(logits)
        # Without truncation log p is logits / T but for a number that all tokens of a row share.
        scores = (
            np.asarray(perturb(self.probabilities(logits), 0.0), np.float32)
            if decoding.truncates
            else finite(logits / np.float32(decoding.temperature))
        )
        for row, at in enumerate(where):
            scores[row] += self.gumbel(*at)
        return scores

    def _gumbel(self, seq: int, position: int) -> Logits:
        # Both models draw the noise of the whole vocabulary: ids, not rows, have addresses.
        gumbel = np.asarray(self.noise(seq).gumbel(position, self.vocabulary), np.float32)
        return gumbel if self.ids is None else gumbel[self.ids]
