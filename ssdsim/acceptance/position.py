"""What a pair of models makes of one position, and what that says of every draft there."""

from collections.abc import Collection
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ssdsim.sampling.distributions import Array, View
from ssdsim.sampling.ranking import best, ranked


class Position:
    """What target and draft make of one position; what follows from it is found once.

    Attributes
    ----------
    target, draft
        Their views.
    sends
        What the draft samples its token from, shape (V,).

    """

    def __init__(self, target: View, draft: View, sends: Array) -> None:
        self.target, self.draft, self.sends = target, draft, sends

    @cached_property
    def own(self) -> int:
        """The target's best token: what it writes where nothing is left to chance."""
        return int(best(self.target.scores))

    @cached_property
    def order(self) -> NDArray[np.intp]:
        """Ids of the draft's candidates, best first, shape (V,)."""
        return ranked(self.draft.scores)

    @cached_property
    def beliefs(self) -> tuple[float, ...]:
        """How likely the draft holds each candidate, in their order."""
        return tuple(self.draft.belief[self.order].tolist())

    def candidates(self, sent: Collection[int] = ()) -> tuple[float, ...]:
        """Return how likely the draft holds its candidates, best first, without those sent."""
        found = self.beliefs
        for place in reversed(self._places(sent)):
            found = found[:place] + found[place + 1 :]
        return found

    def rank(self, token: int, sent: Collection[int] = ()) -> int:
        """Return the place of a token among the candidates not sent; -1 if it was sent."""
        if token in sent:
            return -1
        own = self._place.item(token)
        return own - sum(place < own for place in self._places(sent))

    def candidate(self, rank: int, sent: Collection[int] = ()) -> int:
        """Return the token of that rank."""
        for place in self._places(sent):
            rank += place <= rank
        return self.order.item(rank)

    @cached_property
    def _place(self) -> NDArray[np.intp]:
        """Where in the order each token stands."""
        place = np.empty_like(self.order)
        place[self.order] = np.arange(self.order.size)
        return place

    def _places(self, tokens: Collection[int]) -> list[int]:
        return sorted({self._place.item(token) for token in tokens})
