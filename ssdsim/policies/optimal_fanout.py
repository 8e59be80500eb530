"""The best fixed fan-out for measured chances of ending and of missing at each position."""

from dataclasses import dataclass
from itertools import pairwise

from ssdsim.errors import require
from ssdsim.policies.allocation import allocate, check_cost
from ssdsim.policies.base import StaticPolicy, power_law


@dataclass(frozen=True)
class OptimalFanout(StaticPolicy):
    """Minimises Σ_k P(k accepted)·P(bonus outside the top F_k) at ΣF_k <= B, exactly.

    Attributes
    ----------
    reject
        P(rejected at position j | accepted before it), j = 0, 1, ...; the last value holds on.
    miss_scale, miss_exponent
        P(bonus outside the top F) = min(1, A·F^−r), where no table is given.
    miss_table
        P(bonus outside the top F) for F = 1, 2, ..., as measured; the last value holds on.

    """

    reject: tuple[float, ...] = (0.2,)
    miss_scale: float = 0.36
    miss_exponent: float = 0.7
    miss_table: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        fine = len(self.reject) > 0 and all(0 <= h <= 1 for h in self.reject)
        require(fine, "policy.reject", list(self.reject), "needs probabilities in [0, 1]")
        table = (1.0, *self.miss_table)
        falling = all(0 <= b <= a for a, b in pairwise(table))
        right = "needs probabilities in [0, 1] that never rise"
        require(falling, "policy.miss_table", list(self.miss_table), right)

    def fanouts(self, lookahead: int, budget: int) -> tuple[int, ...]:
        """Return F_0..F_K."""
        widest = min(budget, len(self.miss_table) or budget)  # more gains nothing
        check_cost(min(budget, widest * (lookahead + 1)), lookahead)
        return allocate(budget, self.ends(lookahead), self.miss(widest))

    def ends(self, lookahead: int) -> list[float]:
        """Return P(k accepted), k = 0..K."""
        alive, ends = 1.0, []
        for k in range(lookahead):
            hazard = self.reject[min(k, len(self.reject) - 1)]
            ends.append(alive * hazard)
            alive *= 1 - hazard
        return [*ends, alive]

    def miss(self, budget: int) -> list[float]:
        """Return P(bonus outside the top F), F = 0..budget."""
        if not self.miss_table:
            return power_law(self.miss_scale, self.miss_exponent, budget)
        held = [self.miss_table[-1]] * budget
        return [1.0, *self.miss_table, *held][: budget + 1]
