"""Measures configurations repeatedly, each repeat in another order, and stores the runs."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from numpy.random import default_rng

from ssdreal.executor.sitting import ATTEMPTS, Sitting
from ssdreal.executor.workload import Task
from ssdreal.places.topology import Topology
from ssdreal.validate.configurations import Configuration
from ssdsim.errors import RunError
from ssdsim.run.trace import Run
from ssdsim.system.atomic_files import write_text

SEED = 1
MEASURED = "measured.json"


@dataclass
class Measurements:
    """Runs of configurations.

    Attributes
    ----------
    sitting, topology
        The models, and where they may run.
    tasks
        Prompts of each part.
    folder
        Where the first run of each configuration is kept, and the metrics of all.
    runs
        What has been measured, by configuration.

    """

    sitting: Sitting
    topology: Topology
    tasks: dict[str, list[Task]]
    folder: Path
    runs: dict[str, list[Run]] = field(default_factory=dict)

    def alternate(
        self, wanted: Sequence[Configuration], repeats: int, done: Callable[[], object]
    ) -> None:
        """Run everything `repeats` times in random order; `done` is called after every run.

        Raises
        ------
        RunError
            A worker was lost again and again.

        """
        rng = default_rng(SEED)
        for repeat in range(repeats):
            for at in rng.permutation(len(wanted)):
                run = self._measured(wanted[at], repeat)
                self.runs.setdefault(wanted[at].title, []).append(run)
                if repeat == 0:
                    run.save_small(self.folder / wanted[at].title)
                self._keep(complete=False)
                done()
        self._keep(complete=True)

    def _keep(self, complete: bool) -> None:
        """Write down what all runs so far came to."""
        found = {title: [run.metrics for run in runs] for title, runs in self.runs.items()}
        content = {"complete": complete, "metrics": found}
        write_text(self.folder / MEASURED, json.dumps(content, indent=1) + "\n")

    def _measured(self, wanted: Configuration, repeat: int) -> Run:
        places = self.topology.places(wanted.setup.method.draft_on)
        tasks = self.tasks[wanted.part]
        for _ in range(ATTEMPTS):
            running = self.sitting.execution(wanted.repeat(repeat), places, tasks)
            running.run()
            if not running.lost:
                return running.result()
        raise RunError(f"{wanted.title}: the draft was lost: {running.lost}")
