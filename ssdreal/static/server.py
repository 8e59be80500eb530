"""The base of the GPU workers: captures a run's passes on one stream."""

import gc
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ssdreal.channel.after_run import Clock, Times
from ssdreal.channel.messages import Begin, Command, Done, Failed, Paces, Prefill
from ssdreal.channel.pass_shapes import roomy
from ssdreal.models.captured_work import Capture
from ssdreal.models.model import Model
from ssdreal.serving.server import Server
from ssdreal.static.capture import Lane, directly
from ssdreal.static.device_clock import HostEvent, Stopwatch
from ssdreal.static.gumbel_rows import GumbelRows
from ssdreal.static.passes import StaticReader


class StaticServer(Server):
    """One model at work, its passes captured.

    All of them are captured when a run begins. What is narrower is padded, and a text of which more
    is new is read in several passes, so that no shape comes up later.

    Parameters
    ----------
    model
        The model.
    capturing
        Says how passes are made replayable; asked when the run's stream is the current one.

    """

    reader: StaticReader

    def __init__(self, model: Model, capturing: Callable[[], Capture]) -> None:
        super().__init__(model)
        self.capturing = capturing
        self.watch: Stopwatch | None = None

    @torch.inference_mode()
    def answer(self, command: Command) -> Done | Failed | None:
        """Carry a command out, all of it in the mode that passes run in.

        A function is compiled anew for tensors that were made, or calls that come, in another.
        """
        return super().answer(command)

    def begin(self, command: Begin) -> Paces:
        """Let go of an earlier run's buffers, and get ready for this one."""
        self.let_go()
        paces = super().begin(command)
        self.watch = Stopwatch(self.event)
        return paces

    def let_go(self) -> None:
        """Let go of a run's passes and their buffers."""
        for name in self.made():
            self.__dict__.pop(name, None)
        gc.collect()  # passes and what they are for know each other

    def clock(self, command: Clock) -> Times:
        """Tell when commands ran by the device's clock."""
        return super().clock(command) if self.watch is None else Times(tuple(self.watch.read()))

    def timing(self, number: int) -> AbstractContextManager[None]:
        """Mark a command's work in the device's queue."""
        return super().timing(number) if self.watch is None else self.watch.timing(number)

    def made(self) -> tuple[str, ...]:
        """Return the names of what is made for each run."""
        return ("reader", "lane", "rows")

    @property
    def event(self) -> Callable[[], Any]:
        """What makes marks in the device's queue."""
        timed: Any = torch.cuda.Event
        on_device = self.model.device.type == "cuda"
        return partial(timed, enable_timing=True) if on_device else HostEvent

    def reading(self, command: Begin) -> StaticReader:
        """Return a reader with fresh caches, on a lane of its own."""
        self.lane = Lane(self.model.device, self.model.capturing(self.capturing()))
        width = command.width if self.fixed else command.lookahead + 1
        capacity = roomy(command.capacity)
        return StaticReader(self.model, command.slots, capacity, self.lane, width)

    def prefill(self, command: Prefill) -> None:
        """Read the prompts, and wait until that is done."""
        super().prefill(command)
        self.lane.wait()

    @property
    def spent(self) -> int:
        """Nanoseconds spent in passes so far, and in what they decide on the device."""
        return self.reader.spent + self.lane.spent

    def noise(self, command: Begin, span: int) -> GumbelRows | None:
        """Return the Gumbel noise of `span` positions a slot; None where it has no part."""
        if not command.decoding.perturbed:
            return None
        vocabulary, ids = self.model.vocabulary, self.model.ids
        return GumbelRows(self.lane, command.seed, vocabulary, ids, command.slots, span)


def graphs() -> Capture:
    """Return what captures CUDA graphs on this thread's stream."""
    from ssdreal.places.cuda import cuda_capture

    return cuda_capture(torch.cuda.current_stream(), torch.cuda.graph_pool_handle())


CAPTURES: dict[str, Callable[[], Capture]] = {"graph": graphs, "eager": lambda: directly}
"""By what the option `passes` may be."""


def tensor_of(pages: Any) -> Tensor | None:
    """Return pages of probabilities as a tensor over the same memory; None: there are none."""
    if pages is None:
        return None
    return pages.tensor if hasattr(pages, "tensor") else torch.from_numpy(pages.array)
