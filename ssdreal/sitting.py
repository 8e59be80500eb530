"""A sitting: models loaded once, and one run after another on them."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from ssdreal.config import Pair
from ssdreal.crew import Crew, Processes
from ssdreal.execution import Execution, Setup, Task
from ssdreal.process import Hiring
from ssdreal.topology import Places
from ssdsim.trace import Run
from ssdsim.trace import Sequence as SequenceRecord

Hire = Callable[[Hiring, Hiring], Processes]


@dataclass
class Sitting:
    """Keeps the worker processes between runs, and makes new ones where it must.

    A context manager: at its end no process is left.

    Attributes
    ----------
    pair, dtype
        Which models, in which type.
    ends
        Token ids that end a text.
    hire
        How workers are come by.

    """

    pair: Pair
    dtype: str
    ends: frozenset[int] = frozenset()
    hire: Hire = Processes
    known: dict[tuple[Setup, Places], Run] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.exits = ExitStack()
        self.crew: Crew | None = None
        self.devices: tuple[str, str] | None = None

    def execution(
        self,
        setup: Setup,
        places: Places,
        tasks: Sequence[Task],
        retired: Callable[[SequenceRecord], None] = lambda _: None,
    ) -> Execution:
        """Return a run that is not begun yet, its workers at hand."""
        crew = self._crew(places)
        ends = self.ends if setup.workload.stop_at_end else frozenset()
        return Execution(setup, crew, places, tasks, ends, retired)

    def measure(self, setup: Setup, places: Places, tasks: Sequence[Task]) -> Run:
        """Return the run of a setup; one that was made in this sitting is not made again."""
        key = (_plain(setup), places)
        if key not in self.known:
            running = self.execution(setup, places, tasks)
            running.run()
            run = running.result()
            if running.lost:
                return run
            self.known[key] = run
        return self.known[key]

    def close(self) -> None:
        """End the worker processes."""
        self.exits.close()
        self.crew = None

    def _crew(self, places: Places) -> Crew:
        devices = (places.target.device, places.draft.device)
        fit = self.crew and not (self.crew.target.lost or self.crew.draft.lost)
        if self.crew is None or not fit or devices != self.devices:
            self.close()
            self.exits = ExitStack()
            self.crew = self.exits.enter_context(self._processes(*devices))
            self.devices = devices
        return self.crew

    def _processes(self, target_device: str, draft_device: str) -> Processes:
        pair = self.pair
        target = Hiring("target", pair.target, pair.target, self.dtype, target_device)
        draft = Hiring("draft", pair.draft, pair.target, self.dtype, draft_device)
        return self.hire(target, draft)


def _plain(setup: Setup) -> Setup:
    """Return the setup without what its method never asks for, as equal runs have one key."""
    default = Setup(setup.method)
    idle = {"policy", "backup", "lookahead"} - set(setup.method.uses)
    return replace(setup, **{name: getattr(default, name) for name in idle})
