"""Passes of a decoder whose layers are compiled into a few kernels, as on a GPU."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ssdreal.models.cache import Cache
from ssdreal.models.decoder import Layer
from ssdreal.models.device_layers import PLAIN, Around, Kernels
from ssdreal.models.linear import Weight
from ssdreal.models.pass_request import PassRequest
from ssdreal.models.tree_paths import TreePaths, seen

Stream = tuple[Tensor, Tensor]
"""A residual stream, and what is still to be added to it."""


class KernelPasses:
    """Computes passes so, whole or in two parts; `ssdreal.models.model.Model` says what of.

    Attributes
    ----------
    kernels
        The parts of a pass; None: nothing is computed so.

    """

    kernels: Kernels | None
    embedding: Tensor
    rotation: Tensor
    layers: Sequence[Layer]
    norm: Tensor
    head: Weight
    heads: int
    epsilon: float

    def _by_kernels(self, cache: Cache, asked: PassRequest) -> Tensor | None:
        """Do what `forward` does where operations are few because they are compiled together.

        A tree's tokens share the cache's own layout here: sums are grouped otherwise than a
        chain's, so near ties may be decided otherwise.
        """
        parts = self.kernels if self.kernels is not None and asked.logits else PLAIN
        hidden, here = self._entered(parts, cache, asked)
        stream = hidden, torch.zeros_like(hidden)
        stream = self._through(parts, stream, cache, here, slice(None))
        return self._left(parts, *stream) if asked.logits else None

    def _first_by_kernels(
        self, layers: int, cache: Cache, asked: PassRequest
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        assert self.kernels is not None
        hidden, here = self._entered(self.kernels, cache, asked)
        stream = hidden, torch.zeros_like(hidden)
        stream = self._through(self.kernels, stream, cache, here, slice(layers))
        return self._left(self.kernels, *stream), stream

    def _last_by_kernels(
        self, layers: int, halfway: tuple[Tensor, ...], cache: Cache, asked: PassRequest
    ) -> Tensor:
        assert self.kernels is not None
        _, here = self._entered(self.kernels, cache, asked)
        hidden, more = halfway
        rest = slice(layers, None)
        return self._left(
            self.kernels, *self._through(self.kernels, (hidden, more), cache, here, rest)
        )

    def _entered(self, parts: Kernels, cache: Cache, asked: PassRequest) -> tuple[Tensor, Around]:
        """Return the tokens' embeddings, and what the layers have in common."""
        tokens, positions, at, mask, extent, _ = asked
        rows = seen(mask, at, extent) if isinstance(mask, TreePaths) else mask
        assert rows.shape == (*tokens.shape, extent), "the mask must say what each token sees"
        block = [part.to(self.embedding.device) for part in (tokens, positions, at, rows)]
        tokens, positions, at, rows = block
        rotation = torch.view_as_real(self.rotation)
        hidden, cosines, sines = parts.begun(tokens, positions, self.embedding, rotation)
        slots = torch.arange(cache.first, cache.first + cache.slots, device=self.embedding.device)
        visible = rows[:, None, :, None]
        turn = cosines, sines
        return hidden, Around(
            slots[:, None], at, *turn, visible, cache.first, self.heads, self.epsilon
        )

    def _through(
        self, parts: Kernels, stream: Stream, cache: Cache, here: Around, which: slice
    ) -> Stream:
        """Let the residual stream, and what is still to be added to it, go through layers."""
        for layer, entries in zip(self.layers[which], cache.entries[which], strict=True):
            stream = parts.through(*stream, entries, layer, here)
        return stream

    def _left(self, parts: Kernels, hidden: Tensor, more: Tensor) -> Tensor:
        """Return the logits of the residual stream."""
        return parts.ended(hidden, more, self.norm, self.head.wide, self.epsilon)
