"""Fan-out that falls geometrically with k (SSD, Thm 12)."""

from dataclasses import dataclass

from ssdsim.errors import require
from ssdsim.policies.allocation import allocate, check_cost
from ssdsim.policies.base import StaticPolicy, power_law


@dataclass(frozen=True)
class GeometricFanout(StaticPolicy):
    """The whole-number optimum of Thm 12's objective.

    Thm 12 minimises Σ_(k<K) α^k·(1−α)·F_k^−r + α^K·F_K^−r at ΣF_k <= B over real F_k and finds
    F_k ∝ α^(k/(1+r)), the last one larger by (1−α)^(−1/(1+r)). Whole numbers are found by
    minimising the same sum exactly, so that rounding can never cost more than it must.

    Attributes
    ----------
    acceptance
        α, the chance that a drafted token is accepted.
    exponent
        r, where P(bonus outside the top F) = F^−r.

    """

    acceptance: float = 0.8
    exponent: float = 0.7

    def __post_init__(self) -> None:
        super().__post_init__()
        fine = 0 <= self.acceptance <= 1
        require(fine, "policy.acceptance", self.acceptance, "needs a probability in [0, 1]")
        require(self.exponent > 0, "policy.exponent", self.exponent, "needs a number > 0")

    def fanouts(self, lookahead: int, budget: int) -> tuple[int, ...]:
        """Return F_0..F_K."""
        check_cost(budget, lookahead)
        a = self.acceptance
        weights = [a**k * (1 - a) for k in range(lookahead)] + [a**lookahead]
        return allocate(budget, weights, power_law(1.0, self.exponent, budget))
