"""Forward passes at fixed shapes over static buffers, captured once a run.

Every pass has a mask of the whole capacity: a pass then has one shape wherever in the text it is,
so the target's logits are the same bit by bit, and few passes have to be captured. A GPU's kernels
read no more of the cache than what the mask shows.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ssdreal.models.model import Model
from ssdreal.models.pass_request import PassRequest, chain_mask
from ssdreal.models.tree_paths import TreePaths
from ssdreal.serving.reader import Reader
from ssdreal.serving.sampling import Logits
from ssdreal.static.capture import Inputs, Lane, Output

Use = Callable[[Tensor, Tensor, Mapping[str, Tensor]], None]
"""Takes a pass's logits (slots, N, head rows), its tokens' positions (slots, N), and its inputs."""


class StaticReader(Reader):
    """A reader whose passes over texts have one width, and are captured.

    Prompts are read as they come, each in one pass of its own length. What is not captured (they,
    token trees, and another model's passes) is not compiled either: its shapes have no end.

    Parameters
    ----------
    model, slots, capacity
        See `Reader`.
    lane
        Where passes run.
    width
        Tokens of a row in the passes that it reads texts with.

    """

    def __init__(self, model: Model, slots: int, capacity: int, lane: Lane, width: int) -> None:
        super().__init__(model.plain(), slots, capacity, fixed=True)
        self.lane, self.width, self.own = lane, width, model
        rows = model.vocabulary if model.ids is None else len(model.ids)
        self.logits = Output(lane, (slots, width, rows))
        self.block = Block(self, width, lambda logits, *_: self._keep(logits))

    @property
    def slots(self) -> int:
        """Texts side by side."""
        return len(self.texts)

    @contextmanager
    def reading_as(self, model: Model, texts: Mapping[int, Sequence[int]]) -> Iterator[None]:
        """Let another model of the same cache read on for a while; see `Reader`."""
        with super().reading_as(model.plain(), texts):
            yield

    def forward(
        self, tokens: Tensor, positions: Tensor, at: Tensor, mask: Tensor | TreePaths
    ) -> Tensor:
        """Return the logits of a pass, as `Model.forward` does, all on the device."""
        logits = self.own.forward(self.cache, tokens, positions, at, mask, self.capacity)
        assert logits is not None
        return logits

    def catch_up(self, texts: Mapping[int, Sequence[int]], starts: Mapping[int, int]) -> None:
        """Read each text up to its start, where that is not known. It hardly ever happens."""
        behind = {
            slot: (text[: starts[slot]], starts[slot] - 1)
            for slot, text in texts.items()
            if self.known(slot, text) < starts[slot]
        }
        if behind:
            self.read(behind, self.width)

    def _keep(self, logits: Tensor) -> None:
        self.logits.tensor.copy_(logits)

    def _pass(
        self,
        tokens: NDArray[np.int64],
        positions: NDArray[np.int64],
        at: NDArray[np.int64],
        extent: int,
        mask: Tensor | TreePaths | None = None,
        alone: int | None = None,
    ) -> Logits:
        ordinary = mask is None and alone is None and tokens.shape[1] == self.width
        if not (self.fixed and ordinary):
            return super()._pass(tokens, positions, at, extent, mask, alone)
        self.block.run(tokens, at[:, 0])
        return self.logits.fetch().astype(np.float32)


class Block:
    """A captured pass over the next `width` tokens of every text, and what is made of its logits.

    Parameters
    ----------
    reader
        Whose texts they are.
    width
        Tokens of a row.
    use
        Takes the logits, on the device, as a part of the pass.
    shapes
        Of more numbers that `use` reads: see `inputs`.

    """

    def __init__(
        self, reader: StaticReader, width: int, use: Use, **shapes: tuple[int, ...]
    ) -> None:
        self.reader, self.width, self.use = reader, width, use
        slots = reader.slots
        self.columns = torch.arange(width, device=reader.lane.device)
        self.inputs = Inputs(reader.lane, tokens=(slots, width), begin=(slots, 1), **shapes)
        self.capture()

    def capture(self) -> None:
        """Make the pass replayable."""
        self.replayed = self.reader.lane.capture(self.work)

    def replay(self) -> None:
        """Ask for the pass."""
        self.replayed()

    def read(self, texts: Mapping[int, Sequence[int]], starts: Mapping[int, int]) -> None:
        """Make slots hold these texts; compute what is behind `starts`, or more if it must be."""
        self.reader.catch_up(texts, starts)
        tokens = np.zeros((self.reader.slots, self.width), np.int64)
        # A slot without a text has its junk behind what it holds.
        begin = np.array([len(text) for text in self.reader.texts])
        for slot, text in texts.items():
            new = text[starts[slot] :]
            tokens[slot, : len(new)], begin[slot] = new, starts[slot]
            self.reader.texts[slot] = list(text)
        self.run(tokens, begin)

    def run(self, tokens: NDArray[np.int64], begin: NDArray[np.int64]) -> None:
        """Begin a pass over tokens (slots, width) at the entries from `begin` (slots,) on."""
        self.inputs.numbers["tokens"][:] = tokens
        self.inputs.numbers["begin"][:, 0] = begin
        self.inputs.send()
        self.replay()

    def work(self) -> None:
        """Compute the pass over what the inputs hold on the device."""
        asked = self.asked()
        self.use(self.reader.forward(*asked[:4]), asked.positions, self.inputs.tensors)

    def asked(self) -> PassRequest:
        """Return what the inputs ask a pass for."""
        given, last = self.inputs.tensors, self.reader.capacity - 1
        at = (given["begin"] + self.columns).clamp(max=last)
        mask = chain_mask(at, last + 1)
        return PassRequest(given["tokens"], at, at, mask, last + 1, logits=True)
