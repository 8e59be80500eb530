"""Service times of an engine's steps: a line in tokens, or a staircase of captured graphs."""

from bisect import bisect_left
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from typing import Any, Literal, Self, get_args

import numpy as np

from ssdsim.errors import ConfigError, require
from ssdsim.latency.base import Pass


@dataclass(frozen=True)
class StepCost:
    """Seconds of one kind of pass: `fixed` + a line in each count + what is listed by size.

    Attributes
    ----------
    fixed
        Seconds of every pass.
    row, token, kv_token
        Seconds for each row, for each token computed, and for each token in the rows' caches.
    by
        Whether `sizes` and `captured` count "tokens" computed or "rows".
    sizes, seconds
        Measured seconds by size, linear between two sizes; a pass smaller than the first takes as
        long as that one, and one larger than the last is an error, never a guess.
    captured
        Sizes that the engine has captured as CUDA graphs: a pass is padded to the next of them,
        and takes as long as that size does. Beyond the last one passes run as they are (eager).

    """

    fixed: float = 0.0
    row: float = 0.0
    token: float = 0.0
    kv_token: float = 0.0
    by: Literal["tokens", "rows"] = "tokens"
    sizes: tuple[float, ...] = ()
    seconds: tuple[float, ...] = ()
    captured: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name in ("fixed", "row", "token", "kv_token"):
            value = getattr(self, name)
            right = "needs a finite number of seconds >= 0"
            require(value >= 0 and isfinite(value), name, value, right)
        for name in ("sizes", "captured"):
            value = getattr(self, name)
            require(_ascending(value), name, value, "needs increasing numbers > 0")
        right = f"needs as many seconds >= 0 as there are sizes, {len(self.sizes)}"
        listed = len(self.seconds) == len(self.sizes) and min(self.seconds, default=0) >= 0
        require(listed, "seconds", self.seconds, right)

    def of(self, rows: int, tokens: int, context: float) -> float:
        """Return the seconds of a pass over so many rows and tokens; `context` is a row's mean.

        Raises
        ------
        ConfigError
            It is larger than the largest of the sizes.

        """
        computed, size = tokens, self._padded(tokens if self.by == "tokens" else rows)
        if self.by == "tokens":
            computed = size
        lines = self.row * rows + self.token * computed + self.kv_token * rows * context
        return self.fixed + lines + self._listed(size)

    def _padded(self, size: int) -> int:
        place = bisect_left(self.captured, size)
        return self.captured[place] if place < len(self.captured) else size

    def _listed(self, size: int) -> float:
        if not self.sizes:
            return 0.0
        most = self.sizes[-1]
        require(size <= most, self.by, size, f"the sizes measured end at {most:g}")
        return float(np.interp(size, self.sizes, self.seconds))


@dataclass(frozen=True)
class StepCosts:
    """What an engine's steps cost, as its own profile or a regression says.

    Attributes
    ----------
    passes
        By kind of pass (verify, prefill, step, ...) what it costs.
    devices
        Devices that these times were taken on.
    block
        Tokens of a chain that a drafting pass makes; see `ssdsim.latency.base.block_of`.

    Examples
    --------
    >>> listed = {"sizes": (1, 8, 64), "seconds": (0.005, 0.006, 0.008)}
    >>> verify = StepCost(fixed=0.001, captured=(1, 8), **listed)
    >>> StepCosts({"verify": verify}).seconds("verify", batch=1, tokens=5, context=0)
    0.007

    """

    passes: dict[str, StepCost]
    devices: int = 1
    block: int = 1

    def __post_init__(self) -> None:
        require(self.devices >= 1, "devices", self.devices, "must be at least 1")
        require(self.block >= 1, "block", self.block, "must be at least 1")
        known = get_args(Pass)
        for work in self.passes:
            require(work in known, "passes", work, f"must be one of {', '.join(known)}")

    @property
    def reads_context(self) -> bool:
        """Whether any pass takes longer with more tokens in the caches."""
        return any(cost.kv_token > 0 for cost in self.passes.values())

    def seconds(self, work: Pass, batch: int, tokens: int, context: int) -> float:
        """Return the seconds of one pass; see `Latency.seconds`."""
        if work not in self.passes:
            raise ConfigError(f"pass={work!r}: there are only {', '.join(self.passes)}")
        return self.passes[work].of(batch, tokens, context)

    def spread(self, devices: int) -> Self | None:
        """Return these times where they were taken on that many devices, else None."""
        return self if devices == self.devices else None


def _ascending(numbers: tuple[Any, ...]) -> bool:
    return all(one < other for one, other in pairwise((0, *numbers)))
