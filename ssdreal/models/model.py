"""The forward pass of a Llama-like decoder over prepacked weights and a KV cache."""

from copy import copy
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn import functional

from ssdreal.models.cache import Cache
from ssdreal.models.captured_work import Capture
from ssdreal.models.decoder import Pass, compiled, doubled, normed
from ssdreal.models.device_layers import HIDDEN, PLAIN, Around, kernels
from ssdreal.models.layers import Weights, read_layer, there
from ssdreal.models.linear import FEW, GRAIN, Weight, linear, packed
from ssdreal.models.pass_request import PassRequest, chain_mask, padded, widened
from ssdreal.models.sublayers import Sublayers
from ssdreal.models.tree_paths import Layout, TreePaths, layout, seen


class Model:
    """A decoder over prepacked weights.

    Where the weights are packed, a token's logits depend bit by bit only on what it sees, and on
    the order of that in the cache: not on the offset it stands at, on other rows, on N or on the
    slots, as long as their product stays within `few` or beyond it, nor on how many passes wrote
    its predecessors. In bfloat16 not on the extent either; in float32 that must stay
    the same. Elsewhere this holds at a fixed (slots, N, extent), if at all.

    Parameters
    ----------
    config
        The transformers config.
    weights
        Gives the tensor of a name as in a Hugging Face checkpoint, without the `model.` prefix;
        None where there is none of that name.
    rotation
        (context, head_dim / 2) complex64: cosine and sine by position and pair.
    ids
        Ascending token ids that the rows of the head stand for; None for all of them.

    Attributes
    ----------
    vocabulary
        Token ids of the shared tokenizer: rows of the embedding.
    ids
        (head rows,) int64, or None where the head covers the vocabulary.
    context
        Positions there are.
    layers
        A `Layer` each.
    depth
        Layers of its cache.
    few
        Up to how many rows a pass is narrow: see `Weight`.
    decode, kernels
        The layers' arithmetic on a host, and the parts of a pass on any other device.

    """

    def __init__(
        self, config: Any, weights: Weights, rotation: Tensor, ids: Tensor | None = None
    ) -> None:
        self.ids, self.rotation = ids, rotation
        self.context, half = rotation.shape
        self.head_dim = 2 * half
        self.heads, self.kv_heads = config.num_attention_heads, config.num_key_value_heads
        self.epsilon = config.rms_norm_eps
        self.embedding = there(weights, "embed_tokens.weight")
        self.vocabulary = len(self.embedding)
        self.layers = [
            read_layer(weights, f"layers.{i}.", self.heads, self.kv_heads, self.head_dim)
            for i in range(config.num_hidden_layers)
        ]
        self.depth = len(self.layers)
        self.norm = doubled(there(weights, "norm.weight"))
        self.head = packed(there(weights, "lm_head.weight"))
        parts = [self.head, *(part for layer in self.layers for part in layer)]
        lacking = any(isinstance(part, Weight) and part.narrow is None for part in parts)
        self.few = 0 if lacking else FEW
        self.decode = compiled()
        self.kernels = kernels(self.device)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.embedding.device

    def without(self, skipped: Sublayers) -> Self:
        """Return this model with some sublayers left out: over the same weights, and its cache."""
        fewer = copy(self)
        fewer.layers = [
            layer._replace(attends=i not in skipped.attention, feeds=i not in skipped.mlp)
            for i, layer in enumerate(self.layers)
        ]
        return fewer

    def plain(self) -> Self:
        """Return this model with nothing compiled: for passes whose shapes keep changing."""
        if self.kernels is None:
            return self
        plain = copy(self)
        plain.kernels = PLAIN
        return plain

    def cache(self, slots: int, capacity: int) -> Cache:
        """Return a cache of zeros for this many sequences of at least this many entries."""
        capacity += -capacity % GRAIN
        shape = (self.depth, 2, slots, self.kv_heads, capacity, self.head_dim)
        entries = torch.zeros(shape, dtype=self.embedding.dtype, device=self.device)
        return Cache(entries, 0, slots)

    def capturing(self, capture: Capture) -> Capture:
        """Return what captures this model's passes as `capture` does, wherever it runs."""
        return capture

    @torch.inference_mode()
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
        """Compute a pass over N tokens of every slot.

        Parameters
        ----------
        cache
            Receives the tokens' keys and values.
        tokens, positions, at
            (slots, N) int64: token ids, rotary positions, entries of the cache.
        mask
            (slots, N, extent) bool: which entries each token sees. Or the ways of a token tree a
            slot: a token sees the text before the tree, and its own way.
        extent
            Entries that attention reads: the first ones.
        logits
            Whether the head is wanted.

        Returns
        -------
        Tensor or None
            (slots, N, head rows) float32.

        """
        compute = self._packed if self.kernels is None else self._by_kernels
        return compute(cache, PassRequest(tokens, positions, at, mask, extent, logits))

    def _packed(self, cache: Cache, asked: PassRequest) -> Tensor | None:
        """Do what `forward` does operation by operation, with weights packed where a host is."""
        tokens, positions, at, mask, extent, logits = asked
        width = tokens.shape[1]
        rows = mask.found if isinstance(mask, TreePaths) else padded(mask, (*tokens.shape, extent))
        block = [part.to(self.device) for part in (tokens, positions, at, rows)]
        tokens, positions, at, rows = block if tokens.numel() <= self.few else widened(block)
        laid = None
        if isinstance(mask, TreePaths):
            laid = layout(mask._replace(found=rows), at)
            rows = chain_mask(laid.there.flatten(0, 1), extent + -extent % GRAIN)
        found = self.computed(cache, PassRequest(tokens, positions, at, rows, extent, logits), laid)
        return None if found is None else found[:, :width].float()

    def computed(self, cache: Cache, asked: PassRequest, laid: Layout | None) -> Tensor | None:
        """Return what `forward` does of a widened block, whose mask says what its ways see.

        Parameters
        ----------
        cache
            As in `forward`.
        asked
            Its mask is (slots, N, extent), or (slots x ways, places, extent), to a multiple of
            `GRAIN` entries.
        laid
            How the ways of token trees are laid out; None where every slot has a chain.

        """
        tokens, positions, at, mask, _, logits = asked
        assert isinstance(mask, Tensor)
        hidden = self._decoded(cache, tokens, positions, at, mask, laid)
        return self.scored(hidden) if logits else None

    def scored(self, hidden: Tensor) -> Tensor:
        """Return the scores of all rows of the head, (slots, N, head rows).

        Parameters
        ----------
        hidden
            (slots, N, hidden): the residual stream after all layers.

        """
        return linear(normed(hidden, self.norm, self.epsilon), self.head, None)

    def _by_kernels(self, cache: Cache, asked: PassRequest) -> Tensor | None:
        """Do what `forward` does where operations are few because they are compiled together.

        A tree's tokens share the cache's own layout here: sums are grouped otherwise than a
        chain's, so near ties may be decided otherwise.
        """
        tokens, positions, at, mask, extent, logits = asked
        parts = self.kernels if self.kernels is not None and logits else PLAIN
        rows = seen(mask, at, extent) if isinstance(mask, TreePaths) else mask
        assert rows.shape == (*tokens.shape, extent), "the mask must say what each token sees"
        block = [part.to(self.device) for part in (tokens, positions, at, rows)]
        tokens, positions, at, rows = block
        rotation = torch.view_as_real(self.rotation)
        hidden, cosines, sines = parts.begun(tokens, positions, self.embedding, rotation)
        slots = torch.arange(cache.first, cache.first + cache.slots, device=self.device)
        visible = rows[:, None, :, None]
        here = Around(
            slots[:, None], at, cosines, sines, visible, cache.first, self.heads, self.epsilon
        )
        more = torch.zeros_like(hidden)
        for layer, entries in zip(self.layers, cache.entries, strict=True):
            hidden, more = parts.through(hidden, more, entries, layer, here)
        if not logits:
            return None
        return parts.ended(hidden, more, self.norm, self.head.wide, self.epsilon)

    def _decoded(
        self,
        cache: Cache,
        tokens: Tensor,
        positions: Tensor,
        at: Tensor,
        mask: Tensor,
        laid: Layout | None,
    ) -> Tensor:
        """Return the residual stream after all layers, (slots, N, hidden)."""
        hidden = functional.embedding(tokens, self.embedding)
        here = Pass(
            store=cache.entries.view(len(self.layers), -1),
            places=cache.places(at),
            keys=cache.keys,
            values=cache.values,
            turn=self._turn(positions),
            bias=self._bias(mask),
            heads=self.heads,
            epsilon=self.epsilon,
            laid=laid,
        )
        few = tokens.numel() <= self.few
        found: Tensor = self.decode(hidden.float() if few else hidden, self.layers, here)
        return found

    def _turn(self, positions: Tensor) -> Tensor:
        """Return what to multiply pairs with: (slots, N, heads + 2 kv_heads, head_dim / 2).

        Queries are scaled on this occasion, and values not rotated.
        """
        rotation = self.rotation[positions][:, :, None]
        shape = (*positions.shape, self.heads + 2 * self.kv_heads, self.head_dim // 2)
        turn = rotation.new_ones(shape)
        turn[:, :, : self.heads] = rotation * self.head_dim**-0.5
        turn[:, :, self.heads : -self.kv_heads] = rotation
        return turn

    def _bias(self, mask: Tensor) -> Tensor:
        """Return what to add to the scores: (slots, 1, N x group, extent)."""
        group = self.heads // self.kv_heads
        bias = torch.where(mask, 0.0, HIDDEN).to(self.embedding.dtype)
        return bias[:, None].repeat_interleave(group, dim=2)
