"""Captures a pass over static buffers, for replay as a graph or directly."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ssdreal.models.captured_work import Capture, Work


def directly(work: Work) -> Work:
    """Return the work as it is: each replay runs its Python.

    It is done once now, as a capture does: what it compiles is compiled before a run begins.
    """
    work()
    return work


@dataclass
class Lane:
    """Where one model's passes run: they are captured, replayed and waited for here.

    Attributes
    ----------
    device
        Of all buffers.
    how
        Captures.
    captures, replays, fetches, waits
        Passes captured, replays begun, copies from the device to the host, and times that
        everything asked of the device was done, so far.
    spent
        Nanoseconds spent beginning passes and waiting for them.

    """

    device: torch.device
    how: Capture = directly
    captures: int = 0
    replays: int = 0
    fetches: int = 0
    waits: int = 0
    spent: int = 0

    def capture(self, work: Work) -> Work:
        """Return the replay of a pass."""
        self.captures += 1
        replay = self.how(torch.inference_mode()(work))

        def counted() -> None:
            self.replays += 1
            with self._timed():
                replay()

        return counted

    def wait(self) -> None:
        """Wait until the device has done all that this thread asked of it."""
        self.waits += 1
        if self.device.type == "cuda":
            with self._timed():
                torch.cuda.current_stream(self.device).synchronize()

    def mark(self) -> Work:
        """Return what waits until the device has done all that was asked of it before this."""
        if self.device.type != "cuda":
            return lambda: None
        timed: Any = torch.cuda.Event
        event = timed()
        event.record(torch.cuda.current_stream(self.device))
        wait: Work = event.synchronize
        return wait

    def copy(self, there: Tensor, here: Tensor) -> None:
        """Copy between host and device, behind all that was asked of it, without waiting."""
        there.copy_(here, non_blocking=True)

    def host(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Return memory of the host that the device copies from and to without a detour."""
        return torch.zeros(shape, dtype=dtype, pin_memory=self.device.type == "cuda")

    @contextmanager
    def _timed(self) -> Iterator[None]:
        began = perf_counter_ns()
        yield
        self.spent += perf_counter_ns() - began


class Inputs:
    """Named whole numbers that a pass reads; one copy brings them all to the device.

    A copy that is under way reads them whenever the device comes to it.

    Attributes
    ----------
    tensors
        By name, as the device has them.

    """

    def __init__(self, lane: Lane, **shapes: tuple[int, ...]) -> None:
        sizes = [int(np.prod(shape)) for shape in shapes.values()]
        self.lane, self._sent = lane, -1
        self._host = lane.host((sum(sizes),), torch.int64)
        self._device = torch.zeros_like(self._host, device=lane.device)
        self._numbers: dict[str, NDArray[np.int64]] = {}
        self.tensors: dict[str, Tensor] = {}
        parts = torch.split(self._host, sizes), torch.split(self._device, sizes)
        for (name, shape), host, device in zip(shapes.items(), *parts, strict=True):
            self._numbers[name] = host.view(shape).numpy()
            self.tensors[name] = device.view(shape)

    @property
    def numbers(self) -> dict[str, NDArray[np.int64]]:
        """By name, to be set on the host: once what was sent before has arrived."""
        if self._sent == self.lane.waits:
            self.lane.wait()
        return self._numbers

    def send(self) -> None:
        """Copy them to the device, behind all that was asked of it."""
        self._sent = self.lane.waits
        self.lane.copy(self._device, self._host)


class Output:
    """Numbers that passes write for the host, float64: whole ones are exact up to 2^53.

    Attributes
    ----------
    tensor
        As the device has them.

    """

    def __init__(self, lane: Lane, shape: tuple[int, ...]) -> None:
        self.lane = lane
        self._host = lane.host(shape, torch.float64)
        self.tensor = torch.zeros_like(self._host, device=lane.device)

    def fetch(self) -> NDArray[np.float64]:
        """Return them once the device is done: a view, good until the next time."""
        self.lane.copy(self._host, self.tensor)
        self.lane.wait()
        self.lane.fetches += 1
        return self._host.numpy()

    def send(self) -> None:
        """Have them copied to the host, behind all that was asked of the device so far."""
        self.lane.copy(self._host, self.tensor)
        self._arrived = self.lane.mark()

    def taken(self) -> NDArray[np.float64]:
        """Return what was sent last once it is there, whatever else the device has to do."""
        self._arrived()
        self.lane.fetches += 1
        return self._host.numpy()
