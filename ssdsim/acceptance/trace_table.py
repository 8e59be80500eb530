"""The columns of an acceptance trace that replay looks up."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from ssdsim.sampling.distributions import Array

Whole = NDArray[np.int64]


@dataclass(frozen=True)
class Table:
    """The rows of one temperature and coupling, those of a text together and in order.

    A slot is a place among a row's M listed candidates; slot M stands for all tokens not listed.
    M may be 0, where nothing is known of the candidates: speculations then carry none.

    Attributes
    ----------
    token, rank
        x and its rank among the draft's candidates, shape (rows,); -1 where that is not known.
    a, e
        P(draft accepted | x) and P(the rejected token outranks x | x), shape (rows,).
    confidence
        The draft's probability of x, shape (rows,).
    ids, q
        Token and draft probability in every slot, shape (rows, M + 1). Nothing is known of the
        last slot: its id is -1, and its q that of the worst token listed, an upper bound.
    sends, excess
        What the draft samples from, q', and (q' − p)+, shape (rows, M).
    chance
        P(accepted) = min(1, p/q') of the token in every slot, shape (rows, M + 1); None where
        that is not known.
    exit_ids, exit_p
        The early view's likeliest tokens and their probabilities, shape (rows, E); None where that
        is not recorded.

    """

    token: Whole
    rank: Whole
    a: Array
    e: Array
    confidence: Array
    ids: Whole
    q: Array
    sends: Array
    excess: Array
    chance: Array | None = None
    exit_ids: Whole | None = None
    exit_p: Array | None = None

    @cached_property
    def candidates(self) -> list[tuple[float, ...]]:
        """The draft's probabilities of every row's listed candidates, best first."""
        return list(map(tuple, self.q[:, :-1].tolist()))

    @cached_property
    def left(self) -> Callable[[int, int], tuple[float, ...]]:
        """A row's candidates without the one in a slot."""

        def left(row: int, slot: int) -> tuple[float, ...]:
            candidates = self.candidates[row]
            return candidates[:slot] + candidates[slot + 1 :]

        return lru_cache(maxsize=65536)(left)

    @cached_property
    def chances(self) -> list[list[float]]:
        """P(accepted) in every slot of every row; empty lists where that is not known."""
        return [] if self.chance is None else self.chance.tolist()

    @cached_property
    def exits(self) -> Callable[[int], dict[int, float]]:
        """The early probabilities of a row's tokens by id; of those not listed none is known."""

        def exits(row: int) -> dict[int, float]:
            assert self.exit_ids is not None
            assert self.exit_p is not None
            return dict(zip(self.exit_ids[row].tolist(), self.exit_p[row].tolist(), strict=True))

        return lru_cache(maxsize=65536)(exits)

    @cached_property
    def listed(self) -> list[tuple[int, ...]]:
        """Their ids."""
        return list(map(tuple, self.ids[:, :-1].tolist()))
