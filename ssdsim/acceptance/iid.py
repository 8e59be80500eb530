"""Every drafted token is accepted with the same chance, independently of all others."""

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from numpy.random import Generator

from ssdsim.acceptance.by_position import Curve, Difficulty, PositionalSource, power_curve
from ssdsim.errors import require
from ssdsim.sampling.settings import Sampling


@dataclass(frozen=True)
class Iid:
    """The model of Leviathan et al. (2023) and of SSD's theorems.

    Attributes
    ----------
    alpha
        α, the chance that a drafted token is accepted.
    miss_scale, miss_exponent
        P(bonus outside the draft's top F) = min(1, A·F^−r).
    miss_table
        The same as a table for F = 1, 2, ...; the last value holds on. Replaces A and r.

    """

    alpha: float = 0.8
    miss_scale: float = 0.36
    miss_exponent: float = 0.7
    miss_table: tuple[float, ...] = ()
    uses: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        a = self.alpha
        require(0 <= a <= 1, "acceptance.alpha", a, "needs a probability in [0, 1]")
        for name in ("miss_scale", "miss_exponent"):
            value = getattr(self, name)
            require(value >= 0, f"acceptance.{name}", value, "needs a number >= 0")
        falling = all(0 <= b <= a for a, b in pairwise((1.0, *self.miss_table)))
        right = "needs probabilities in [0, 1] that never rise"
        require(falling, "acceptance.miss_table", list(self.miss_table), right)

    def open(self, sampling: Sampling, rng: Generator) -> PositionalSource:  # noqa: ARG002
        """Return the source; sampling options have no meaning here."""
        state = Difficulty((1 - self.alpha,), self.miss())
        return PositionalSource(state, state, 1, rng)

    def miss(self) -> Curve:
        """Return the miss curve."""
        if not self.miss_table:
            return power_curve(self.miss_scale, self.miss_exponent)
        table = (1.0, *self.miss_table)
        return lambda F: table[min(F, len(table) - 1)]
