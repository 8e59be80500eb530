"""A rank of a sharded model that carries out the first rank's passes."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor

from ssdreal.models.cache import Cache
from ssdreal.models.captured_work import Capture, Work
from ssdreal.models.model import Model
from ssdreal.sharding.captured_passes import Shape, unpacked
from ssdreal.sharding.model import ShardedModel


class Follower:
    """Carries out the passes that the first rank sends.

    Parameters
    ----------
    model
        Its share.
    capturing
        Says how passes are captured: as the first rank does. Asked with every cache, as graphs
        cannot be put where others have been that are gone.

    """

    capture: Capture

    def __init__(self, model: ShardedModel, capturing: Callable[[], Capture]) -> None:
        self.model, self.capturing = model, capturing
        self.replays: list[Work] = []

    def cache(self, slots: int, capacity: int) -> None:
        """Have a cache like the first rank's; passes that were captured on another are over."""
        self.let_go()
        self.model.cache(slots, capacity)
        self.capture = self.capturing()

    def let_go(self) -> None:
        """Let go of all that was captured."""
        self.replays.clear()

    def forward(self, shape: Shape, block: NDArray[Any], sees: NDArray[Any]) -> None:
        """Compute a pass over tokens, positions and entries (3, slots, N), and the mask's bits."""
        bits = np.unpackbits(sees, count=math.prod(shape.mask)).astype(bool)
        tokens, positions, at = map(torch.from_numpy, block)
        self._pass(shape, tokens, positions, at, torch.from_numpy(bits.reshape(shape.mask)))

    def record(self, shapes: Sequence[Shape]) -> None:
        """Capture passes whose inputs come from the first rank while they run."""

        @torch.inference_mode()
        def work() -> None:
            for shape in shapes:
                found = torch.empty(shape.bytes, dtype=torch.uint8, device=self.model.device)
                dist.broadcast(found, 0)
                self._pass(shape, *unpacked(found, shape))

        self.replays.append(self.capture(work))

    def replay(self, number: int) -> None:
        """Compute what was captured as the pass of this number."""
        self.replays[number]()

    def _pass(
        self, shape: Shape, tokens: Tensor, positions: Tensor, at: Tensor, mask: Tensor
    ) -> None:
        model = self.model if shape.skipped is None else self.model.without(shape.skipped)
        cache = Cache(self.model.newest.entries, shape.first, shape.slots)
        Model.forward(model, cache, tokens, positions, at, mask, shape.extent, logits=shape.logits)
