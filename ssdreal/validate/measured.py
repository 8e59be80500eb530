"""Measures configurations repeatedly, each repeat in another order, and stores the runs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from numpy.random import default_rng

from ssdreal.command.journal import RUN, Journal
from ssdreal.executor.sitting import ATTEMPTS, Sitting
from ssdreal.executor.workload import Task
from ssdreal.places.topology import Topology
from ssdreal.validate.anchors import Anchors
from ssdreal.validate.configurations import Configuration
from ssdsim.errors import RunError
from ssdsim.run.trace import Run

SEED = 1


@dataclass
class Measurements:
    """Runs of configurations.

    Attributes
    ----------
    sitting, topology
        The models, and where they may run.
    tasks
        Prompts of each part.
    journal, anchors
        Keeps every run; tells how fast the machine is before and after those of each repeat.
    runs
        What has been measured, by configuration.

    """

    sitting: Sitting
    topology: Topology
    tasks: dict[str, list[Task]]
    journal: Journal
    anchors: Anchors
    runs: dict[str, list[Run]] = field(default_factory=dict)

    def alternate(
        self, wanted: Sequence[Configuration], repeats: int, done: Callable[[], object]
    ) -> None:
        """Run everything `repeats` times in random order; `done` is called after every run.

        An anchor is taken before each repeat, the first being taken already, and after the last.

        Raises
        ------
        RunError
            A worker was lost again and again.

        """
        rng = default_rng(SEED)
        measured = False
        for repeat in range(repeats):
            if measured:
                self.anchors.take()
            for at in rng.permutation(len(wanted)):
                measured = measured or not self.kept(wanted[at], repeat)
                run = self.once(wanted[at], repeat)
                self.runs.setdefault(wanted[at].title, []).append(run)
                done()
        if measured:
            self.anchors.take()

    def kept(self, wanted: Configuration, repeat: int) -> bool:
        """Return whether a repeat's run is measured already."""
        return wanted.kept_as(repeat) in self.journal.finished

    def once(self, wanted: Configuration, repeat: int) -> Run:
        """Return a repeat's run, made now or kept.

        Raises
        ------
        RunError
            A worker was lost again and again.

        """
        return self.journal.once(
            wanted.kept_as(repeat), RUN, lambda: self._measured(wanted, repeat)
        )

    def _measured(self, wanted: Configuration, repeat: int) -> Run:
        places = self.topology.places(wanted.setup.draft_on)
        tasks = self.tasks[wanted.part]
        for _ in range(ATTEMPTS):
            running = self.sitting.execution(wanted.repeat(repeat), places, tasks)
            running.run()
            if not running.lost:
                return running.result()
        raise RunError(f"{wanted.title}: the draft was lost: {running.lost}")
