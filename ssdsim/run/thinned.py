"""Numbers of a long run: all are counted and added up, one of so many is kept for quantiles."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

MOST = 1 << 20
"""Numbers that are kept: as many again are taken before every second one is let go."""

QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
"""Shares of all that are told of, by what they are called."""


@dataclass
class Thinned:
    """Numbers, in the order in which they come.

    Attributes
    ----------
    total, count
        Sum and number of all.
    kept
        Every `stride`-th of them.

    """

    total: float = 0.0
    count: int = 0
    stride: int = 1
    kept: "array[float]" = field(default_factory=lambda: array("d"))

    def add(self, values: Sequence[float], total: float) -> None:
        """Take up more numbers, and their sum."""
        self.total += total
        self.kept.extend(values[-self.count % self.stride :: self.stride])
        self.count += len(values)
        while len(self.kept) > 2 * MOST:
            self.kept, self.stride = self.kept[::2], 2 * self.stride

    def summary(self, name: str) -> dict[str, float | None]:
        """Return mean and quantiles as metrics of that name; None without any number."""
        if not self.count:
            return dict.fromkeys([f"{name}_mean", *map(f"{name}_{{}}".format, QUANTILES)])
        kept = np.frombuffer(self.kept, np.float64)
        found = zip(QUANTILES, np.quantile(kept, [*QUANTILES.values()]).tolist(), strict=True)
        return {f"{name}_mean": self.total / self.count} | {f"{name}_{q}": x for q, x in found}
