"""The fan-out F_0, F_1, ... as listed in the options."""

from dataclasses import dataclass

from numpy.random import Generator

from ssdsim.errors import require
from ssdsim.policies.base import Budget, Predictor, StaticPolicy


@dataclass(frozen=True)
class FixedFanout(StaticPolicy):
    """F_k as listed; positions past the list get none, and the budget cuts from the end.

    Attributes
    ----------
    fanout
        [F_0, F_1, ...], at most lookahead + 1 of them.

    """

    budget: Budget = 1024
    fanout: tuple[int, ...] = (4, 3, 3, 2, 2)

    def __post_init__(self) -> None:
        super().__post_init__()
        fine = all(F >= 0 for F in self.fanout)
        require(fine, "policy.fanout", list(self.fanout), "needs numbers >= 0")

    def start(self, lookahead: int, rng: Generator) -> Predictor:
        """Return a predictor, if the list fits the lookahead."""
        short = len(self.fanout) <= lookahead + 1
        right = f"needs at most lookahead + 1 = {lookahead + 1} numbers"
        require(short, "policy.fanout", list(self.fanout), right)
        return super().start(lookahead, rng)

    def fanouts(self, lookahead: int, budget: int) -> tuple[int, ...]:
        """Return F_0..F_K; a speculation shorter than the lookahead uses the list's beginning."""
        kept = []
        for F in self.fanout[: lookahead + 1]:
            kept.append(min(F, budget))
            budget -= kept[-1]
        return tuple(kept)
