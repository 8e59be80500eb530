"""What a worker does with commands, in its own process or, for tests, in the run's."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from time import perf_counter_ns
from typing import Any

from ssdreal.channel.messages import Begin, Clock, Command, Done, Paces, Ready, Stop, Times
from ssdreal.channel.pages import OpenPages
from ssdreal.models.model import Model
from ssdreal.serving.reader import Reader


class Server:
    """One model at work: answers a command at a time.

    Attributes
    ----------
    reader
        The model with its caches; there from the first `Begin` on.
    pages
        Shared probabilities, while a run needs them.

    """

    reader: Reader
    fixed: bool

    def __init__(self, model: Model) -> None:
        self.model = model
        self.pages: OpenPages | None = None
        self.last = (0, 0)
        self.stop: Callable[[int, int], Stop | None] = lambda run, tree: None  # noqa: ARG005 - none comes

    def ready(self) -> Ready:
        """Say what the model's head covers."""
        ids = self.model.ids
        if ids is None:
            return Ready(self.model.vocabulary, None)
        return Ready(len(ids), tuple(ids.tolist()))

    def answer(self, command: Command) -> Done | None:
        """Carry a command out; None if it is not newer than the last one, and so was late."""
        number = (command.stamp.run, command.stamp.number)
        if number <= self.last:
            return None
        self.last = number
        began = perf_counter_ns()
        before = 0 if isinstance(command, Begin) else self.reader.spent
        with self.timing(command.stamp.number):
            value = getattr(self, type(command).__name__.lower())(command)
        return Done(command.stamp, value, began, perf_counter_ns(), self.reader.spent - before)

    def begin(self, command: Begin) -> Paces:
        """Get ready for a run, warm up, and return what passes take."""
        _settle_on(command.cores)
        if self.pages is not None:
            self.pages.close()
        self.pages = OpenPages(command.pages) if command.pages else None
        self.reader = Reader(self.model, command.slots, command.capacity, fixed=self.fixed)
        self.shape = command
        self.prepare(command)
        return self.warm_up(command)

    def clock(self, command: Clock) -> Times:  # noqa: ARG002 - it says nothing more
        """Tell when commands ran by the device's clock; the host's own work is timed as it is."""
        return Times(())

    def timing(self, number: int) -> AbstractContextManager[None]:  # noqa: ARG002
        """Mark a command's work in the device's queue, where there is one."""
        return nullcontext()

    def prefill(self, command: Any) -> None:
        """Read the prompts, all but the last token of each."""
        for line in command.lines:
            self.reader.prefill(line.slot, line.tokens[:-1])

    def prepare(self, command: Begin) -> None:
        """Make what the run's settings ask for."""
        raise NotImplementedError

    def warm_up(self, command: Begin) -> Paces:
        """Run every kind of pass a few times, and return its seconds."""
        raise NotImplementedError


def _settle_on(cores: tuple[int, ...]) -> None:
    """Run on these cores alone, a thread each."""
    if not cores:
        return
    import os

    import torch

    os.sched_setaffinity(0, cores)
    torch.set_num_threads(len(cores))


def median_seconds(work: Callable[[], object], times: int = 5) -> float:
    """Return the median seconds of a piece of work, after one go that does not count."""
    work()
    taken = []
    for _ in range(times):
        began = perf_counter_ns()
        work()
        taken.append(perf_counter_ns() - began)
    return sorted(taken)[times // 2] * 1e-9
