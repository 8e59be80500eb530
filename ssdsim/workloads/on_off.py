"""On/off arrivals: bursts of requests, and quiet times between them."""

from dataclasses import dataclass
from math import ceil, sqrt
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ssdsim.errors import require
from ssdsim.workloads.open_loop import RandomArrivals


@dataclass(frozen=True)
class OnOff(RandomArrivals):
    """Poisson arrivals at a high rate, then at a low one or none, in turn (a two-state MMPP).

    The index of dispersion of counts in t seconds is 1 + A (1 - (1 - exp(-st)) / (st)), where
    s = 1/b + 1/c, A = 2 (r - q)^2 b c / ((b + c)^2 rate s), b and c are the seconds busy and
    quiet, and r and q the rates then (Fischer and Meier-Hellstern 1993, The MMPP cookbook).

    Attributes
    ----------
    busy, quiet
        Seconds that a busy and a quiet time last on average; both are exponential.
    quiet_rate
        Rate in a quiet time, as a share of that in a busy one: 0 is silence, 1 is Poisson.

    """

    busy: float = 10.0
    quiet: float = 10.0
    quiet_rate: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("busy", "quiet"):
            value = getattr(self, name)
            require(value > 0, f"workload.{name}", value, "needs a number of seconds > 0")
        share = self.quiet_rate
        require(0 <= share <= 1, "workload.quiet_rate", share, "needs a share from 0 to 1")

    def gaps(self, rng: Generator) -> NDArray[Any]:
        """Return the seconds between arrivals.

        Expected arrivals grow at one of two speeds, and arrivals are Poisson in them.
        """
        clock = np.cumsum(rng.exponential(1.0, self.prompts))
        times, expected = self._phases(rng, clock[-1])
        return np.diff(np.interp(clock, expected, times), prepend=0.0)

    def _phases(self, rng: Generator, until: float) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return when phases end, and the arrivals expected until then, beyond `until` of them."""
        cycle = self.busy + self.quiet
        rate = self.rate * cycle / (self.busy + self.quiet_rate * self.quiet)
        first = 0 if rng.random() * cycle < self.busy else 1
        means = np.roll([self.busy, self.quiet], first)
        rates = np.roll([rate, self.quiet_rate * rate], first)
        times, expected = np.zeros(1), np.zeros(1)
        while expected[-1] <= until:
            cycles = (until - expected[-1]) / (self.rate * cycle)
            more = 1 + ceil(cycles + 3 * sqrt(cycles))
            lasted = rng.exponential(1.0, (more, 2)) * means
            times = np.append(times, times[-1] + np.cumsum(lasted))
            expected = np.append(expected, expected[-1] + np.cumsum(lasted * rates))
        return times, expected
