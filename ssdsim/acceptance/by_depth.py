"""Acceptance that depends only on a token's position in the round, as papers publish it."""

from dataclasses import dataclass
from typing import ClassVar

from numpy.random import Generator

from ssdsim.acceptance.by_position import Difficulty, PositionalSource
from ssdsim.acceptance.iid import Iid
from ssdsim.errors import require
from ssdsim.sampling.settings import Sampling


@dataclass(frozen=True)
class ByDepth:
    """A chance for the first drafted token, another for the second, and so on.

    Attributes
    ----------
    accept
        P(token j is accepted | those before it were), j = 0, 1, ...; the last value holds on.
        EAGLE's n-alpha (Li et al. 2024, Table 5) can stand here as it is printed.
    miss_scale, miss_exponent
        P(bonus outside the draft's top F) = min(1, A·F^−r).
    miss_table
        The same as a table for F = 1, 2, ...; the last value holds on. Replaces A and r.
    found
        P(a round has a draft at all), at least the first of `accept`: prompt lookup finds nothing
        where the text is new, and such a round verifies no drafted token.

    """

    accept: tuple[float, ...] = (0.8, 0.75, 0.7)
    miss_scale: float = 0.36
    miss_exponent: float = 0.7
    miss_table: tuple[float, ...] = ()
    found: float = 1.0
    uses: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        fine = len(self.accept) > 0 and all(0 <= a <= 1 for a in self.accept)
        require(fine, "acceptance.accept", list(self.accept), "needs probabilities in [0, 1]")
        right = "needs a probability of at least the first of acceptance.accept"
        require(self.accept[0] <= self.found <= 1, "acceptance.found", self.found, right)
        self.surprise()

    def open(self, sampling: Sampling, rng: Generator) -> PositionalSource:  # noqa: ARG002
        """Return the source; sampling options have no meaning here."""
        state = Difficulty([1 - a for a in self.accept], self.surprise().miss())
        return PositionalSource(state, state, 1, rng, found=self.found)

    def surprise(self) -> Iid:
        """Return the source with the same miss curve at every depth."""
        return Iid(
            miss_scale=self.miss_scale,
            miss_exponent=self.miss_exponent,
            miss_table=self.miss_table,
        )
