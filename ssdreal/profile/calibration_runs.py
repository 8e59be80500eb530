"""Makes the calibration runs of a profile on real models, in random order."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from ssdreal.executor.setup import CHUNK, Setup
from ssdreal.executor.sitting import Sitting
from ssdreal.executor.workload import Task
from ssdreal.places.places import Places
from ssdreal.places.topology import Topology
from ssdreal.profile.scripted_pair import ScriptedSource
from ssdsim.calibration.calibration_plan import Visit, anchor
from ssdsim.calibration.timings import Timing, timings
from ssdsim.errors import RunError
from ssdsim.sampling.settings import Decoding
from ssdsim.workloads.closed import Closed

DECODINGS = {
    "greedy": Decoding(),
    "maximal": Decoding(temperature=1.0),
    "gumbel": Decoding(temperature=1.0, coupling="gumbel"),
}
PROMPTS = 2
"""Of a visit, for each of its rows: the second round of them has seen a retirement."""


@dataclass(frozen=True)
class CalibrationRuns:
    """Makes calibration runs.

    Attributes
    ----------
    sitting, topology
        The models, and where they may run.
    short, long
        Prompts to decode.
    tokens
        To decode of each.
    script
        What tells the outcomes of a pair without weights; None: they are its own.
    hour
        Number of the sitting among those of a profile.

    """

    sitting: Sitting
    topology: Topology
    short: Sequence[Task]
    long: Sequence[Task]
    tokens: int
    script: ScriptedSource | None = None
    hour: int = 0

    def pieces(self, visit: Visit, number: int) -> list[Timing]:
        """Make a visit; return what every piece of work in it took.

        Raises
        ------
        RunError
            A worker was lost on the way.

        """
        tasks = self.tasks(visit, number)
        places = self._places(visit)
        running = self.sitting.execution(self.setup(visit, number), places, tasks)
        running.run()
        if running.lost:
            raise RunError(f"the draft was lost: {running.lost}")
        return timings(running.result(), number, padding=CHUNK, sitting=self.hour)

    def anchor(self, lookaheads: Sequence[int], branches: Sequence[int]) -> list[Timing]:
        """Make the visits that tell how fast the machine is just now; return their pieces.

        Raises
        ------
        RunError
            A worker was lost on the way.

        """
        visits = anchor(lookaheads, branches)
        return [piece for at, visit in enumerate(visits) for piece in self.pieces(visit, at)]

    @property
    def spreads(self) -> bool:
        """Whether there is more than one device for both models together."""
        spread = self.topology.spread()
        return spread is not None and spread.target.count > 1

    def setup(self, visit: Visit, number: int) -> Setup:
        """Return what a visit asks for."""
        decoding = DECODINGS[visit.coupling]
        return Setup(
            visit.method,
            Closed(prompts=PROMPTS * visit.batch, output_tokens=self.tokens),
            policy=visit.policy,
            lookahead=visit.lookahead,
            batch=visit.batch,
            decoding=decoding,
            seed=number,
            acceptance=None if self.script is None else self.script.at(decoding),
        )

    def tasks(self, visit: Visit, number: int) -> list[Task]:
        """Take turns through the prompts, so that no visit has texts of its own."""
        there = self.long if visit.long else self.short
        first = PROMPTS * number
        return [there[(first + at) % len(there)] for at in range(PROMPTS * visit.batch)]

    def _places(self, visit: Visit) -> Places:
        spread = self.topology.spread() if visit.spread else None
        return spread or self.topology.places(visit.method.draft_on)


def joined(tasks: Sequence[Task], least: int) -> list[Task]:
    """Return prompts put together in order until each has at least so many tokens."""
    found: list[Task] = []
    part: list[Task] = []
    for task in tasks:
        part.append(task)
        if sum(len(one.tokens) for one in part) >= least:
            name, tokens = "+".join(one.name for one in part), [one.tokens for one in part]
            found.append(Task(name, "long", list(chain.from_iterable(tokens))))
            part = []
    return found
