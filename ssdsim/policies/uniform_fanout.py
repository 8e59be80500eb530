"""The same fan-out after every number of accepted tokens, as the SSD authors' engine ships."""

from dataclasses import dataclass

from ssdsim.errors import require
from ssdsim.policies.base import Budget, StaticPolicy


@dataclass(frozen=True)
class UniformFanout(StaticPolicy):
    """F_k = F for every k, as far as the budget goes; what it cannot share evenly goes first.

    Attributes
    ----------
    fanout
        F; 0 predicts nothing.

    """

    budget: Budget = 1024
    fanout: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.fanout >= 0, "policy.fanout", self.fanout, "needs a number >= 0")

    def fanouts(self, lookahead: int, budget: int) -> tuple[int, ...]:
        """Return F_0..F_K."""
        each, more = divmod(budget, lookahead + 1)
        return tuple(min(self.fanout, each + (k < more)) for k in range(lookahead + 1))
