"""A decoder of the Llama kind over prepacked weights: one lean forward pass."""

from collections.abc import Callable
from copy import copy
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ssdreal.models.cache import Cache
from ssdreal.models.decoder import Layer, Pass, compiled, decode, doubled, normed
from ssdreal.models.linear import FEW, Weight, linear, packed
from ssdreal.models.sublayers import Sublayers

# Added to a score that must not count: its exponential is 0, and a row of nothing else is finite.
HIDDEN = -1e30
# oneDNN sums single rows, and odd ends of sums, in another order than the rest. It is faster at
# four rows than at fewer, too.
LEAST_ROWS, GRAIN = 4, 16

Weights = Callable[[str], Tensor | None]


def chain_mask(at: Tensor | np.ndarray[Any, Any], extent: int) -> Tensor:
    """Return which entries the tokens of an ordinary block see: those up to each token's own.

    Parameters
    ----------
    at
        (slots, N): the entry of each token.
    extent
        Entries that attention reads.

    Returns
    -------
    Tensor
        (slots, N, extent), bool.

    """
    at = torch.as_tensor(at)
    return torch.arange(extent, device=at.device) <= at[..., None]


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
    few
        Up to how many rows a pass is narrow: see `Weight`.

    """

    def __init__(
        self, config: Any, weights: Weights, rotation: Tensor, ids: Tensor | None = None
    ) -> None:
        self.ids, self.rotation = ids, rotation
        self.context, half = rotation.shape
        self.head_dim = 2 * half
        self.heads, self.kv_heads = config.num_attention_heads, config.num_key_value_heads
        self.epsilon = config.rms_norm_eps
        self.embedding = _there(weights, "embed_tokens.weight")
        self.vocabulary = len(self.embedding)
        self.layers = [
            _layer(weights, f"layers.{i}.", self.heads, self.kv_heads, self.head_dim)
            for i in range(config.num_hidden_layers)
        ]
        self.norm = doubled(_there(weights, "norm.weight"))
        self.head = packed(_there(weights, "lm_head.weight"))
        parts = [self.head, *(part for layer in self.layers for part in layer)]
        lacking = any(isinstance(part, Weight) and part.narrow is None for part in parts)
        self.few = 0 if lacking else FEW
        # On a GPU TorchScript would fuse operations, at every new shape anew.
        self.decode = compiled() if self.device.type == "cpu" else decode

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

    def cache(self, slots: int, capacity: int) -> Cache:
        """Return a cache of zeros for this many sequences of at least this many entries."""
        capacity += -capacity % GRAIN
        shape = (len(self.layers), 2, slots, self.kv_heads, capacity, self.head_dim)
        entries = torch.zeros(shape, dtype=self.embedding.dtype, device=self.device)
        return Cache(entries, 0, slots)

    @torch.inference_mode()
    def forward(
        self,
        cache: Cache,
        tokens: Tensor,
        positions: Tensor,
        at: Tensor,
        mask: Tensor,
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
            (slots, N, extent) bool: which entries each token sees.
        extent
            Entries that attention reads: the first ones.
        logits
            Whether the head is wanted.

        Returns
        -------
        Tensor or None
            (slots, N, head rows) float32.

        """
        assert mask.shape == (*tokens.shape, extent), "the mask must say what each token sees"
        mask = functional.pad(mask, (0, -extent % GRAIN))
        block = [part.to(self.device) for part in (tokens, positions, at, mask)]
        hidden = self._decoded(cache, *(block if tokens.numel() <= self.few else _widened(block)))
        if not logits:
            return None
        wide = linear(normed(hidden, self.norm, self.epsilon), self.head, None)
        return wide[:, : tokens.shape[1]].float()

    def _decoded(
        self, cache: Cache, tokens: Tensor, positions: Tensor, at: Tensor, mask: Tensor
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


def _widened(block: list[Tensor]) -> list[Tensor]:
    """Return a block of at least `LEAST_ROWS` rows; the last token of a slot fills it up.

    What is repeated writes the same again to the same entry.
    """
    slots, width = block[0].shape
    wide = -(-LEAST_ROWS // slots)
    if width >= wide:
        return block
    index = torch.arange(wide, device=block[0].device).clamp(max=width - 1)
    return [part[:, index] for part in block]


def _given(weight: Tensor | None) -> Tensor:
    assert weight is not None
    return weight


def _there(weights: Weights, name: str) -> Tensor:
    weight = weights(name)
    assert weight is not None, name
    return weight


def _fused(weights: Weights, names: list[str], suffix: str) -> Tensor | None:
    """Return what projections of one input have under this suffix, one below the other."""
    found = [weights(f"{name}.{suffix}") for name in names]
    given = [part for part in found if part is not None]
    return torch.cat(given) if given else None


def _paired(weight: Tensor, turned: int, head_dim: int) -> Tensor:
    """Return weights with the coordinates of a head that rotate together side by side.

    Files keep a head's first half apart from its second; no score depends on the order.

    Parameters
    ----------
    weight
        (rows, ...).
    turned
        Rows of the heads that rotate: the first ones.
    head_dim
        Rows of a head.

    """
    halves = weight[:turned].view(-1, 2, head_dim // 2, *weight.shape[1:])
    return torch.cat((halves.transpose(1, 2).flatten(0, 2), weight[turned:]))


def _layer(weights: Weights, prefix: str, heads: int, kv_heads: int, head_dim: int) -> Layer:
    attention, mlp = f"{prefix}self_attn.", f"{prefix}mlp."
    turned = (heads + kv_heads) * head_dim

    def inward(suffix: str) -> Tensor | None:
        fused = _fused(weights, [f"{attention}{side}_proj" for side in "qkv"], suffix)
        return None if fused is None else _paired(fused, turned, head_dim)

    def norm(name: str) -> Tensor | None:
        weight = weights(f"{attention}{name}.weight")
        return None if weight is None else doubled(_paired(weight, head_dim, head_dim))

    return Layer(
        before_attention=doubled(_there(weights, f"{prefix}input_layernorm.weight")),
        inward=packed(_given(inward("weight"))),
        inward_bias=inward("bias"),
        query_norm=norm("q_norm"),
        key_norm=norm("k_norm"),
        outward=packed(_there(weights, f"{attention}o_proj.weight")),
        outward_bias=weights(f"{attention}o_proj.bias"),
        before_mlp=doubled(_there(weights, f"{prefix}post_attention_layernorm.weight")),
        gate_up=packed(_given(_fused(weights, [f"{mlp}gate_proj", f"{mlp}up_proj"], "weight"))),
        gate_up_bias=_fused(weights, [f"{mlp}gate_proj", f"{mlp}up_proj"], "bias"),
        down=packed(_there(weights, f"{mlp}down_proj.weight")),
        down_bias=weights(f"{mlp}down_proj.bias"),
        attends=True,
        feeds=True,
    )
