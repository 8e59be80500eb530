"""The base of all workers: carries out one command at a time on one model."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from time import perf_counter_ns
from typing import TYPE_CHECKING

from msgspec.structs import replace

from ssdreal.channel.after_run import Clock, Times
from ssdreal.channel.messages import (
    Begin,
    Command,
    Done,
    Failed,
    Paces,
    Prefill,
    Ready,
    Spoken,
    Stop,
)
from ssdreal.channel.probability_pages import OpenPages, Pages
from ssdreal.models.model import Model
from ssdreal.places.places import Given, Role, cores, kept_on, pin
from ssdreal.serving.reader import Reader
from ssdsim.options.building import build
from ssdsim.trees.base import TokenTree

if TYPE_CHECKING:
    from ssdreal.channel.device_pages import DevicePages


class Server:
    """One model at work: answers a command at a time.

    Attributes
    ----------
    reader
        The model with its caches; there from the first `Begin` on.
    pages
        Shared probabilities, while a run needs them.
    tree
        The token tree that is drafted and verified; None: chains.
    stop, tell
        Asks for the `Stop` of a tree, and sends what is said on the way to an answer.
    cores
        Where it gets ready for a run: those that its process had at first.

    """

    reader: Reader
    fixed: bool
    role: Role

    def __init__(self, model: Model) -> None:
        self.model, self.cores = model, cores()
        self.pages: OpenPages | DevicePages | None = None
        self.last = (0, 0)
        self.stop: Callable[[int, int], Stop | None] = lambda run, tree: None  # noqa: ARG005 - none comes
        self.tell: Callable[[Spoken], None] = lambda _: None

    def ready(self) -> Ready:
        """Say what the model's head covers."""
        ids = self.model.ids
        if ids is None:
            return Ready(self.model.vocabulary, None)
        return Ready(len(ids), tuple(ids.tolist()))

    def answer(self, command: Command) -> Done | Failed | None:
        """Carry a command out; None if it is not newer than the last one, and so was late."""
        number = (command.stamp.run, command.stamp.number)
        if number <= self.last:
            return None
        self.last = number
        began = perf_counter_ns()
        before = 0 if isinstance(command, Begin) else self.spent
        with self.timing(command.stamp.number):
            value = getattr(self, type(command).__name__.lower())(command)
        return Done(command.stamp, value, began, perf_counter_ns(), self.spent - before)

    def begin(self, command: Begin) -> Paces:
        """Get ready for a run, warm up, and return what passes take."""
        with kept_on(self.cores):  # whatever compiles passes starts threads that stay where it was
            given = self._made_ready(command)
        _settle_on(command.cores)
        handle = getattr(self.pages, "handle", b"")
        return replace(self.warm_up(command), given=given, handle=handle)

    def _made_ready(self, command: Begin) -> Given | None:
        """Make what the run needs, and return what a GPU gave."""
        given = self._settle_in(command)
        if self.pages is not None:
            self.pages.close()
        self.pages = self._opened(command.pages) if command.pages else None
        self.reader = self.reading(command)
        self.shape = command
        self.tree = None if command.tree is None else build(TokenTree, command.tree, "tree")
        self.prepare(command)
        return given

    def let_go(self) -> None:
        """Let go of all that the last run needed and another must not find."""

    def reading(self, command: Begin) -> Reader:
        """Return a reader with fresh caches."""
        return Reader(self.model, command.slots, command.capacity, fixed=self.fixed)

    @property
    def spent(self) -> int:
        """Nanoseconds spent in passes of the model so far."""
        return self.reader.spent

    def clock(self, command: Clock) -> Times:  # noqa: ARG002 - it says nothing more
        """Tell when commands ran by the device's clock; the host's own work is timed as it is."""
        return Times(())

    def timing(self, number: int) -> AbstractContextManager[None]:  # noqa: ARG002
        """Mark a command's work in the device's queue, where there is one."""
        return nullcontext()

    def prefill(self, command: Prefill) -> None:
        """Read the texts, all but the last token of each."""
        for line in command.lines:
            self.reader.prefill(line.slot, line.tokens[:-1])

    def _settle_in(self, command: Begin) -> Given | None:
        """Run on a stream of the lane's own from here on, if the model is on a GPU."""
        if self.model.device.type != "cuda":
            return None
        from ssdreal.places.cuda import enter

        return enter(self.model.device, self.role, command.partition)

    def _opened(self, pages: Pages) -> "OpenPages | DevicePages":
        if not pages.device:
            return OpenPages(pages)
        from ssdreal.channel.device_pages import DevicePages

        return DevicePages(pages, self.model.device)

    def prepare(self, command: Begin) -> None:
        """Make what the run's settings ask for."""
        raise NotImplementedError

    def warm_up(self, command: Begin) -> Paces:
        """Run every kind of pass a few times, and return its seconds."""
        raise NotImplementedError


def _settle_on(chosen: tuple[int, ...]) -> None:
    """Run on these cores alone, a thread each."""
    if not chosen:
        return
    import torch

    pin(chosen)
    torch.set_num_threads(len(chosen))


def median_seconds(work: Callable[[], object], times: int = 5) -> float:
    """Return the median seconds of a piece of work, after one go that does not count."""
    work()
    taken = []
    for _ in range(times):
        began = perf_counter_ns()
        work()
        taken.append(perf_counter_ns() - began)
    return sorted(taken)[times // 2] * 1e-9
