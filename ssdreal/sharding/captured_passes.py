"""Captured passes of a sharded model: recorded once, then replayed with the first rank's inputs."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ssdreal.models.sublayers import Sublayers


class Shape(NamedTuple):
    """The shape of a pass.

    Attributes
    ----------
    skipped
        The sublayers that are left out; None: none.
    first
        The first of the cache's slots that take part.
    slots, width, extent
        The mask's shape.
    logits
        Whether the head is wanted.

    """

    skipped: Sublayers | None
    first: int
    slots: int
    width: int
    extent: int
    logits: bool

    @property
    def mask(self) -> tuple[int, int, int]:
        """The mask's shape."""
        return self.slots, self.width, self.extent

    @property
    def bytes(self) -> int:
        """What the inputs take: three numbers a token, and the mask."""
        return 24 * self.slots * self.width + math.prod(self.mask)


@dataclass
class Recording:
    """What becomes of a pass that a first rank is asked for.

    Attributes
    ----------
    shapes
        Takes down what it is like, and no more happens; None: it is computed.
    inputs_within
        Whether the other ranks do it already, and wait for its inputs.
    passes
        How many were captured with the newest cache.

    """

    shapes: list[Shape] | None = None
    inputs_within: bool = False
    passes: int = 0

    @contextmanager
    def sketch(self) -> Iterator[list[Shape]]:
        """Take down passes."""
        self.shapes = found = list[Shape]()
        try:
            yield found
        finally:
            self.shapes = None

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Send passes their inputs."""
        self.inputs_within = True
        try:
            yield
        finally:
            self.inputs_within = False


def packed(tokens: Tensor, positions: Tensor, at: Tensor, mask: Tensor) -> Tensor:
    """Return a pass's inputs as bytes, where they are."""
    block = torch.stack((tokens, positions, at)).view(torch.uint8).flatten()
    return torch.cat((block, mask.flatten().view(torch.uint8)))


def unpacked(found: Tensor, shape: Shape) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the inputs that were `packed`."""
    numbers, mask = torch.split(found, [24 * shape.slots * shape.width, math.prod(shape.mask)])
    tokens, positions, at = numbers.view(torch.int64).view(3, shape.slots, shape.width)
    return tokens, positions, at, mask.view(torch.bool).view(shape.mask)
