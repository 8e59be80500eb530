"""Acceptance of a draft that is trained between the steps of a rollout (FastGRPO, 2025)."""

from dataclasses import dataclass
from functools import lru_cache

from numpy.random import Generator, Philox

from ssdsim.acceptance.by_position import Difficulty, PositionalSource, PositionalText
from ssdsim.acceptance.iid import Iid
from ssdsim.errors import require
from ssdsim.sampling.settings import Sampling


@dataclass(frozen=True)
class Online(Iid):
    """Independent acceptance that rises towards `alpha` from one training step to the next.

    α of step s is alpha - (alpha - first)·(1 - rate)^s.

    Attributes
    ----------
    first
        α in the first step, before any training.
    rate
        Share of what is missing that every step's training gains; 0: no online learning.
    group
        Prompts of a step: `workload.prompts` / `workload.steps`.

    """

    first: float = 0.6
    rate: float = 0.3
    group: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("first", "rate"):
            value = getattr(self, name)
            require(0 <= value <= 1, f"acceptance.{name}", value, "needs a share in [0, 1]")
        require(self.group >= 1, "acceptance.group", self.group, "needs a number >= 1")

    def at(self, step: int) -> float:
        """Return α of training step `step`, 0 or more."""
        return self.alpha - (self.alpha - self.first) * (1 - self.rate) ** step

    def open(self, sampling: Sampling, rng: Generator) -> PositionalSource:  # noqa: ARG002
        """Return the source; sampling options have no meaning here."""
        state = self.state(0)
        return _Trained(state, state, 1, rng, config=self)

    def state(self, step: int) -> Difficulty:
        """Return what the rounds of a training step are like."""
        return Difficulty((1 - self.at(step),), self.miss())


@dataclass
class _Trained(PositionalSource):
    config: Online = Online()

    def __post_init__(self) -> None:
        super().__post_init__()
        self.step = lru_cache(maxsize=None)(self._step)

    def text(self, seq: int) -> PositionalText:
        return self.step(seq // self.config.group).text(seq)

    def _step(self, step: int) -> PositionalSource:
        state = self.config.state(step)
        return PositionalSource(state, state, 1, Generator(Philox(key=[self.key, step])))
