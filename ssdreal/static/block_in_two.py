"""A captured pass in two parts, so that what an early layer says is there before the rest is."""

import torch
from torch import Tensor

from ssdreal.models.pass_request import PassRequest
from ssdreal.static.capture import Output
from ssdreal.static.passes import Block, StaticReader, Use


class BlockInTwo(Block):
    """A pass over the next `width` tokens of every text, as two passes that follow each other.

    Both are asked of the device at once, so that it never waits for the host in between. What the
    first leaves for the second lies in buffers of its own: memory of captured passes is shared.

    Parameters
    ----------
    reader, width, use, shapes
        As for `Block`; `use` takes the logits of the whole pass.
    hear
        Takes, as a part of the first one, what the head makes of the last of its layers.
    heard
        What it writes for the host.
    layers
        Of the first part.

    """

    def __init__(
        self,
        reader: StaticReader,
        width: int,
        use: Use,
        hear: Use,
        heard: Output,
        layers: int,
        **shapes: tuple[int, ...],
    ) -> None:
        self.layers, self.hear, self.heard = layers, hear, heard
        super().__init__(reader, width, use, **shapes)

    def capture(self) -> None:
        """Make both parts replayable."""
        reader = self.reader
        with torch.inference_mode():
            _, found = self.first_layers(self.asked())
        self.halfway = tuple(map(torch.empty_like, found))
        self.first = reader.lane.capture(self.begin)
        self.first()  # capturing the rest carries it out, and it must not meet what is no number
        self.last = reader.lane.capture(self.end)

    def replay(self) -> None:
        """Ask for both parts, and for what is heard in between."""
        self.first()
        self.heard.send()
        self.last()

    def begin(self) -> None:
        """Compute the first part."""
        asked = self.asked()
        logits, found = self.first_layers(asked)
        for kept, part in zip(self.halfway, found, strict=True):
            kept.copy_(part)
        self.hear(logits, asked.positions, self.inputs.tensors)

    def end(self) -> None:
        """Compute the rest."""
        asked, reader = self.asked(), self.reader
        logits = reader.own.last_layers(self.layers, self.halfway, reader.cache, asked)
        self.use(logits, asked.positions, self.inputs.tensors)

    def first_layers(self, asked: PassRequest) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return early logits, and what the first part leaves for the second."""
        return self.reader.own.first_layers(self.layers, self.reader.cache, asked)
