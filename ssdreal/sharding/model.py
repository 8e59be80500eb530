"""A decoder sharded over several devices: each rank computes its share of every product.

transformers' tensor parallelism shards modules whose static cache writes all rows at one position
(`StaticLayer.update`), but rows are ragged here; so it is this project's own decoder that is cut.
A rank has some of the heads, some of the MLP's inner numbers and some rows of the head; what it
adds to the residual stream is a part of a sum over all ranks (Shoeybi et al. 2019, arXiv
1909.08053).
"""

from collections.abc import Callable
from typing import Any, Self

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from ssdreal.models.cache import Cache
from ssdreal.models.captured_work import Capture, Work
from ssdreal.models.decoder import Layer, Pass, attention, mlp, normed
from ssdreal.models.layers import Weights
from ssdreal.models.model import Model
from ssdreal.models.sublayers import Sublayers
from ssdreal.models.tree_paths import TreePaths
from ssdreal.sharding.captured_passes import Recording, Shape, packed
from ssdreal.sharding.ranks import gathered
from ssdreal.sharding.weight_shares import Share


class ShardedModel(Model):
    """One rank's share of a decoder; the ranks must be in a group, and do the same passes.

    Parameters
    ----------
    config, rotation
        As in `Model`, of the whole.
    weights
        Gives this rank's parts.
    share
        Which they are.

    Attributes
    ----------
    tell
        Called with what the other ranks have to do: the name of a method of a `Follower`
        (`ssdreal.sharding.follower`), and its arguments. The first rank has one that tells them.
    skipped
        The sublayers that are left out; None: none ever are.

    """

    def __init__(self, config: Any, weights: Weights, rotation: Tensor, share: Share) -> None:
        super().__init__(share.config(config), weights, rotation)
        # Layers that are compiled whole would not wait for the other ranks' parts.
        self.decode, self.kernels = decode, None
        self.tell: Callable[..., None] = lambda *_: None
        self.skipped: Sublayers | None = None
        self.recording = Recording()

    def without(self, skipped: Sublayers) -> Self:
        """Return this model with some sublayers left out, on all ranks."""
        fewer = super().without(skipped)
        fewer.skipped = skipped
        return fewer

    def cache(self, slots: int, capacity: int) -> Cache:
        """Return a cache of this rank's heads; the newest is the one that passes work on."""
        self.tell("cache", slots, capacity)
        self.newest, self.recording.passes = super().cache(slots, capacity), 0
        return self.newest

    def capturing(self, capture: Capture) -> Capture:
        """Return what captures passes on all ranks, and replays them on all.

        The others must be told what a pass is like before any rank begins to capture it; so the
        work is first carried out with logits that are all zero.
        """

        def lead(work: Work) -> Work:
            with self.recording.sketch() as shapes:
                work()
            if not shapes:
                return capture(work)
            number, self.recording.passes = self.recording.passes, self.recording.passes + 1
            self.tell("record", shapes)
            with self.recording.inside():
                replay = capture(work)

            def again() -> None:
                self.tell("replay", number)
                with self.recording.inside():
                    replay()

            return again

        return lead

    def forward(
        self,
        cache: Cache,
        tokens: Tensor,
        positions: Tensor,
        at: Tensor,
        mask: Tensor | TreePaths,
        extent: int,
        *,
        logits: bool = True,
    ) -> Tensor | None:
        """Compute a pass together with the other ranks; see `Model.forward`."""
        assert isinstance(mask, Tensor), "the others are told no ways of trees"
        assert cache.entries is self.newest.entries, "the others have the newest cache alone"
        slots, width = tokens.shape
        shape = Shape(self.skipped, cache.first, slots, width, extent, logits)
        if self.recording.shapes is not None:
            self.recording.shapes.append(shape)
            return self.embedding.new_zeros((*tokens.shape, self.vocabulary), dtype=torch.float32)
        if self.recording.inputs_within:
            dist.broadcast(packed(tokens, positions, at, mask), 0)
            found = super().forward(cache, tokens, positions, at, mask, extent, logits=logits)
            # Laid out as above: what uses them is compiled for a layout, and not while others wait.
            return None if found is None else found.clone(memory_format=torch.contiguous_format)
        block = np.stack([part.cpu().numpy() for part in (tokens, positions, at)])
        sees = np.packbits(mask.cpu().numpy())
        self.tell("forward", shape, block, sees)
        return super().forward(cache, tokens, positions, at, mask, extent, logits=logits)

    def scored(self, hidden: Tensor) -> Tensor:
        """Return the scores of all rows of the head, (slots, N, head rows)."""
        parts = gathered(super().scored(hidden))
        return parts.movedim(0, -2).flatten(-2)[..., : self.vocabulary]


def decode(hidden: Tensor, layers: list[Layer], here: Pass) -> Tensor:
    """Return the residual stream after all layers; see `ssdreal.models.decoder.decode`."""
    for i, layer in enumerate(layers):
        if layer.attends:
            x = normed(hidden, layer.before_attention, here.epsilon)
            hidden = hidden + total(attention(x, layer, i, here))
        if layer.feeds:
            x = normed(hidden, layer.before_mlp, here.epsilon)
            hidden = hidden + total(mlp(x, layer))
    return hidden


def total(part: Tensor) -> Tensor:
    """Return the sum of all ranks' parts, in the order of the ranks.

    An all-reduce may add in an order that depends on where in the block a number stands, and a
    token's logits must not: what verifies it and what decodes it alone have to agree.
    """
    return gathered(part).sum(0, dtype=torch.float32).to(part.dtype)
