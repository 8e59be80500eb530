"""A sitting: loads the models once, and makes several runs on the same worker processes."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

from ssdreal.executor.execution import Execution
from ssdreal.executor.pair import Alone, Pair
from ssdreal.executor.setup import Setup
from ssdreal.executor.workload import Task
from ssdreal.models.catalog import shared_vocabulary
from ssdreal.places.places import Places
from ssdreal.workers.crew import Crew, Processes
from ssdreal.workers.hiring import Hiring, Passes
from ssdreal.workers.remote import WorkerLost
from ssdsim.decoding.detail import Detail
from ssdsim.run.tables import Sequence as SequenceRecord
from ssdsim.run.trace import Run

Hire = Callable[..., AbstractContextManager[Crew]]
"""From the `Hiring` of the target, and of a draft if there is one."""

ATTEMPTS = 2
"""At a baseline, which means nothing without its draft."""


class DraftLost(WorkerLost):
    """A run that means nothing without its draft lost it, again and again."""


@dataclass
class Sitting:
    """Keeps the worker processes between runs, and makes new ones where it must.

    When it is closed no process is left (`contextlib.closing` sees to that).

    Attributes
    ----------
    pair, dtype
        Which models, in which type.
    ends
        Token ids that end a text.
    context
        Positions that both models can handle; None: enough for all that is asked.
    hire
        How workers are come by.
    passes
        How GPUs compute passes; see `Hiring`.

    """

    pair: Pair
    dtype: str
    ends: frozenset[int] = frozenset()
    context: int | None = None
    hire: Hire = Processes
    passes: Passes = "graph"
    known: dict[Any, Run] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.exits = ExitStack()
        self.crew: Crew | None = None
        self.where: tuple[tuple[str, ...], tuple[str, ...], bool] | None = None

    def execution(
        self,
        setup: Setup,
        places: Places,
        tasks: Sequence[Task],
        retired: Callable[[SequenceRecord], None] = lambda _: None,
        detail: Detail | None = None,
    ) -> Execution:
        """Return a run that is not begun yet."""
        ends = self.ends if setup.stop_at_end else frozenset()
        return Execution(setup, lambda: self._crew(places), places, tasks, ends, retired, detail)

    def measure(self, setup: Setup, places: Places, tasks: Sequence[Task]) -> Run:
        """Return the run of a setup; one that was made in this sitting is not made again.

        Raises
        ------
        WorkerLost
            The target is gone, or (`DraftLost`) the draft was lost again and again.

        """
        texts = tuple((task.name, tuple(task.tokens)) for task in tasks)
        key = (_plain(setup), places, texts)
        if key not in self.known:
            self.known[key] = self._measured(setup, places, tasks)
        return self.known[key]

    def close(self) -> None:
        """End the worker processes."""
        self.exits.close()
        self.crew = None

    @property
    def at_work(self) -> bool:
        """Whether there are workers, their models loaded."""
        return self.crew is not None and not (self.crew.target.lost or self.crew.draft.lost)

    def _measured(self, setup: Setup, places: Places, tasks: Sequence[Task]) -> Run:
        for _ in range(ATTEMPTS):
            running = self.execution(setup, places, tasks)
            running.run()
            if not running.lost:
                return running.result()
        raise DraftLost(f"the draft worker is gone: {running.lost}")

    def _crew(self, places: Places) -> Crew:
        where = places.target.devices, places.draft.devices, places.together
        if self.crew is None or not self.at_work or where != self.where:
            self.close()
            self.exits = ExitStack()
            self.crew = self.exits.enter_context(self._hired(places))
            self.where = where
        return self.crew

    def _hired(self, places: Places) -> AbstractContextManager[Crew]:
        pair, on = self.pair, places.target
        vocabulary = shared_vocabulary(*pair.models)
        how = places.together, self.passes, bool(places.own)
        target = Hiring("target", pair.target, pair.target, self.dtype, on.device, *how, on.others)
        target = replace(target, vocabulary=vocabulary)
        if isinstance(pair, Alone):
            return self.hire(target)
        drafts_on = places.draft.device
        draft = Hiring("draft", pair.draft, pair.target, self.dtype, drafts_on, *how)
        return self.hire(target, replace(draft, vocabulary=vocabulary))


def _plain(setup: Setup) -> Setup:
    """Return the setup without what its method never asks for, as equal runs have one key."""
    default = Setup(setup.method)
    idle = {"drafter", "policy", "backup", "lookahead", "length", "tree"} - set(setup.method.uses)
    return replace(setup, **{name: getattr(default, name) for name in idle})
