"""Draft probabilities in device memory, shared with the target without a copy to the host.

The draft's worker makes them, and its answer to `Begin` says how the target's finds them: within
one process as the same tensor, from another through the device's own handles (CUDA IPC), which
torch's pickling carries. Where the target is on another device, what it reads is copied there, from
device to device where the machine can, else through the host.

A row must be complete before the answer that names it; the host waits for the draft's stream in
any case, as tokens and confidences come with it.
"""

import pickle
from itertools import count
from multiprocessing.reduction import ForkingPickler
from typing import Any
from weakref import WeakValueDictionary

import torch
from torch import Tensor
from torch.multiprocessing.reductions import init_reductions

from ssdreal.channel.probability_pages import Pages, Place

_here: "WeakValueDictionary[int, Tensor]" = WeakValueDictionary()
_numbers = count()


class DevicePages:
    """The pages as one worker sees them.

    Parameters
    ----------
    pages
        What to make, or where to find it.
    device
        Where this worker computes, as torch names it.

    Attributes
    ----------
    tensor
        Shape (pages, slots, branches, K, head rows), float32, on the draft's device.
    handle
        What a worker finds it by.

    """

    def __init__(self, pages: Pages, device: torch.device | str) -> None:
        self.device = device
        if pages.handle:
            self.tensor, self.handle = _found(pages.handle), pages.handle
            return
        self.tensor = torch.zeros(pages.shape, device=pages.device)
        self.handle = _offered(self.tensor) if pages.apart else _kept(self.tensor)

    def write(self, place: Place, step: int, row: Any) -> None:
        """Put down what the token of one step was sampled from: an array or tensor (head rows,)."""
        self.tensor[place.page, place.slot, place.branch, step].copy_(torch.as_tensor(row))

    def read(self, place: Place, length: int) -> Tensor:
        """Return the rows of a chain on this worker's device, shape (length, head rows)."""
        return self.tensor[place.page, place.slot, place.branch, :length].to(self.device)

    def close(self) -> None:
        """Let go of the memory; it is there until both workers have."""
        del self.tensor


def _kept(tensor: Tensor) -> bytes:
    """Let a tensor be found in this process.

    No device handle is made: memory for which nobody has used one is never given back.
    """
    number = next(_numbers)
    _here[number] = tensor
    return pickle.dumps(number)


def _offered(tensor: Tensor) -> bytes:
    init_reductions()  # type: ignore[no-untyped-call]
    return bytes(ForkingPickler.dumps(tensor))


def _found(handle: bytes) -> Tensor:
    found = pickle.loads(handle)  # noqa: S301 - from another worker of the same run
    return found if isinstance(found, Tensor) else _here[found]
