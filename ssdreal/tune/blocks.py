"""Measures a race: in every block each configuration that is left once, in random order."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf, log
from time import monotonic

from ssdreal.tune.entrants import Entrant
from ssdreal.validate.measured import Measurements
from ssdsim.sampling.streams import stream
from ssdsim.tune.racing import Race

SEED = 1


@dataclass
class Blocks:
    """Makes the runs of a race.

    An anchor is taken before the first run that is not kept from before, and after the last.

    Attributes
    ----------
    measurements
        Makes runs, or has them kept.
    race
        Says who is left.
    entrants
        All that began.
    most, seconds
        After how many blocks, and after which time no other one begins.

    """

    measurements: Measurements
    race: Race
    entrants: Sequence[Entrant]
    most: int
    seconds: float = inf
    measured: bool = field(default=False, init=False)

    def run(self, done: Callable[[], object], told: Callable[[int], object]) -> None:
        """Measure until the race is over, or the time is.

        `done` is called after every run, `told` with the number of every block behind it.

        Raises
        ------
        RunError
            A worker was lost again and again.

        """
        begun = monotonic()
        for block in range(self.most):
            if self.race.over or (self.measured and monotonic() - begun >= self.seconds):
                break
            self.race.add({one.name: self._once(one, block, done) for one in self._order(block)})
            told(block + 1)
        if self.measured:
            self.measurements.anchors.take()

    def _order(self, block: int) -> list[Entrant]:
        """Return who is left in a random order, the same whenever it is asked for."""
        left = [one for one in self.entrants if one.name in self.race.left]
        order = stream(SEED, f"order of block {block}").permutation(len(left))
        return [left[at] for at in order]

    def _once(self, one: Entrant, block: int, done: Callable[[], object]) -> float:
        """Return the logarithm of the tokens/s of a run, made now or kept."""
        measurements, wanted = self.measurements, one.configuration
        if not (self.measured or measurements.kept(wanted, block)):
            self.measured = True
            measurements.anchors.take()
        run = measurements.once(wanted, block)
        measurements.runs.setdefault(wanted.title, []).append(run)
        done()
        return log(run.metrics["tokens_per_s"])
