"""The forward pass of a Llama-like decoder over prepacked weights and a KV cache."""

from copy import copy
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn import functional

from ssdreal.models.cache import Cache
from ssdreal.models.captured_work import Capture
from ssdreal.models.decoder import Pass, beyond, bias_of, compiled, doubled, normed, turn_of
from ssdreal.models.device_layers import PLAIN, kernels
from ssdreal.models.kernel_passes import KernelPasses
from ssdreal.models.layers import Weights, read_layer, there
from ssdreal.models.linear import FEW, GRAIN, Weight, linear, packed
from ssdreal.models.pass_request import PassRequest, chain_mask, padded, widened
from ssdreal.models.sublayers import Sublayers
from ssdreal.models.tree_paths import Layout, TreePaths, layout


class Model(KernelPasses):
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

    def shallow(self, layers: int) -> Self:
        """Return the first layers of this model as one of its own, under the same head."""
        fewer = copy(self)
        fewer.layers, fewer.depth = self.layers[:layers], layers
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

    @torch.inference_mode()
    def first_layers(
        self, layers: int, cache: Cache, asked: PassRequest
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Compute a pass up to one of its layers, as `forward` does.

        Parameters
        ----------
        layers
            How many.
        cache, asked
            The arguments of `forward`; no token trees.

        Returns
        -------
        tuple
            The logits that the head makes of what the last of these layers leaves, and what
            `last_layers` goes on from.

        """
        first = self._first_packed if self.kernels is None else self._first_by_kernels
        return first(layers, cache, asked)

    @torch.inference_mode()
    def last_layers(
        self, layers: int, halfway: tuple[Tensor, ...], cache: Cache, asked: PassRequest
    ) -> Tensor:
        """Compute the rest of a pass: the logits that `forward` gives, bit for bit on a host."""
        last = self._last_packed if self.kernels is None else self._last_by_kernels
        return last(layers, halfway, cache, asked)

    def _packed(self, cache: Cache, asked: PassRequest) -> Tensor | None:
        """Do what `forward` does operation by operation, with weights packed where a host is."""
        found = self.computed(cache, *self._widened(asked))
        return None if found is None else found[:, : asked.tokens.shape[1]].float()

    def _first_packed(
        self, layers: int, cache: Cache, asked: PassRequest
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        hidden, here = self._begun(cache, *self._widened(asked))
        hidden = self.decode(hidden, self.layers[:layers], here)
        return self.scored(hidden)[:, : asked.tokens.shape[1]].float(), (hidden,)

    def _last_packed(
        self, layers: int, halfway: tuple[Tensor, ...], cache: Cache, asked: PassRequest
    ) -> Tensor:
        _, here = self._begun(cache, *self._widened(asked))
        hidden = self.decode(*halfway, self.layers[layers:], beyond(here, layers))
        return self.scored(hidden)[:, : asked.tokens.shape[1]].float()

    def _widened(self, asked: PassRequest) -> tuple[PassRequest, Layout | None]:
        """Return a pass's block as kernels of a host take it, and how its trees' ways lie."""
        tokens, positions, at, mask, extent, logits = asked
        rows = mask.found if isinstance(mask, TreePaths) else padded(mask, (*tokens.shape, extent))
        block = [part.to(self.device) for part in (tokens, positions, at, rows)]
        tokens, positions, at, rows = block if tokens.numel() <= self.few else widened(block)
        laid = None
        if isinstance(mask, TreePaths):
            laid = layout(mask._replace(found=rows), at)
            rows = chain_mask(laid.there.flatten(0, 1), extent + -extent % GRAIN)
        return PassRequest(tokens, positions, at, rows, extent, logits), laid

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
        hidden, here = self._begun(cache, asked, laid)
        hidden = self.decode(hidden, self.layers, here)
        return self.scored(hidden) if asked.logits else None

    def scored(self, hidden: Tensor) -> Tensor:
        """Return the scores of all rows of the head, (slots, N, head rows).

        Parameters
        ----------
        hidden
            (slots, N, hidden): the residual stream after all layers.

        """
        return linear(normed(hidden, self.norm, self.epsilon), self.head, None)

    def _begun(self, cache: Cache, asked: PassRequest, laid: Layout | None) -> tuple[Tensor, Pass]:
        """Return the embeddings of a widened block, and what its layers have in common."""
        tokens, positions, at, mask, _, _ = asked
        assert isinstance(mask, Tensor)
        hidden = functional.embedding(tokens, self.embedding)
        group = self.heads // self.kv_heads
        here = Pass(
            store=cache.entries.view(len(self.layers), -1),
            places=cache.places(at),
            keys=cache.keys,
            values=cache.values,
            turn=turn_of(self.rotation[positions], self.heads, self.kv_heads),
            bias=bias_of(mask, group, self.embedding.dtype),
            heads=self.heads,
            epsilon=self.epsilon,
            laid=laid,
        )
        return hidden.float() if tokens.numel() <= self.few else hidden, here
