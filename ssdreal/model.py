"""A decoder of the Llama kind over prepacked weights: one lean forward pass."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ssdreal.cache import Cache
from ssdreal.linear import Linear

# Of a score that must not count: its exponential is 0, and a row of nothing else stays finite.
HIDDEN = -1e30


@dataclass(frozen=True)
class Layer:
    """What one decoder layer reads, projections side by side where they share their input.

    Attributes
    ----------
    before_attention, before_mlp
        Weights of the two norms, (hidden,).
    query_key_value, gate_up
        Fused projections.
    output, down
        Projections back to the residual stream.
    query_norm, key_norm
        Weights of the heads' norms, (head_dim,), where the model has them.

    """

    before_attention: Tensor
    query_key_value: Linear
    output: Linear
    before_mlp: Tensor
    gate_up: Linear
    down: Linear
    query_norm: Tensor | None
    key_norm: Tensor | None


def chain_mask(at: Tensor | np.ndarray[Any, Any], extent: int) -> Tensor:
    """Return which entries a block of ordinary tokens sees: those up to each token's own.

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

    Parameters
    ----------
    config
        The transformers config.
    weights
        Gives the tensor of a name as in a Hugging Face checkpoint without the `model.` prefix;
        None where there is none of this name and it may be absent.
    cosines, sines
        (context, head_dim): the rotary tables.
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

    """

    def __init__(
        self,
        config: Any,
        weights: Callable[[str], Tensor | None],
        cosines: Tensor,
        sines: Tensor,
        ids: Tensor | None = None,
    ) -> None:
        self.ids = ids
        self.context = len(cosines)
        self.heads, self.kv_heads = config.num_attention_heads, config.num_key_value_heads
        self.head_dim = cosines.shape[-1]
        self.epsilon = config.rms_norm_eps
        self.embedding = _there(weights, "embed_tokens.weight")
        self.vocabulary = len(self.embedding)
        self.layers = [_layer(weights, f"layers.{i}.") for i in range(config.num_hidden_layers)]
        self.norm = _there(weights, "norm.weight")
        self.head = Linear(_there(weights, "lm_head.weight"))
        half = self.head_dim // 2
        # rotate_half(x) * sin is x rolled by half a head times sin with its first half negated.
        self.cosines = cosines[:, None]
        self.sines = torch.cat((-sines[:, :half], sines[:, half:]), dim=-1)[:, None]

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.embedding.device

    def cache(self, slots: int, capacity: int) -> Cache:
        """Return an empty cache for this many sequences of this many entries."""
        size = (len(self.layers), slots, capacity, self.kv_heads, self.head_dim)
        return Cache(*size, self.embedding.dtype, self.device)

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
        """Compute one pass over N tokens of every slot.

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
        device = self.device
        tokens, positions, at = tokens.to(device), positions.to(device), at.to(device)
        hidden = functional.embedding(tokens, self.embedding)
        rotary = self.cosines[positions], self.sines[positions]
        where = (at + torch.arange(cache.slots, device=device)[:, None] * cache.capacity).view(-1)
        bias = self._bias(mask.to(device))
        for layer, entries in zip(self.layers, cache.entries, strict=True):
            hidden = self._attend(layer, entries, hidden, rotary, where, bias, extent)
            hidden = self._mlp(layer, hidden)
        if not logits:
            return None
        return self.head(self._normed(hidden, self.norm)).float()

    def _bias(self, mask: Tensor) -> Tensor:
        slots, width, extent = mask.shape
        bias = torch.where(mask, 0.0, HIDDEN).to(self.embedding.dtype)
        groups = self.heads // self.kv_heads
        wide = bias[:, None, None].expand(slots, 1, groups, width, extent)
        return wide.reshape(slots, 1, groups * width, extent)

    def _normed(self, x: Tensor, weight: Tensor) -> Tensor:
        return functional.rms_norm(x, weight.shape, weight, self.epsilon)

    def _attend(
        self,
        layer: Layer,
        entries: Tensor,
        hidden: Tensor,
        rotary: tuple[Tensor, Tensor],
        where: Tensor,
        bias: Tensor,
        extent: int,
    ) -> Tensor:
        slots, width = hidden.shape[:2]
        heads, kv_heads, head_dim = self.heads, self.kv_heads, self.head_dim
        mixed = layer.query_key_value(self._normed(hidden, layer.before_attention))
        mixed = mixed.view(slots, width, heads + 2 * kv_heads, head_dim)
        turned = mixed[:, :, : heads + kv_heads]
        if layer.query_norm is not None and layer.key_norm is not None:
            queries = self._normed(turned[:, :, :heads], layer.query_norm)
            keys = self._normed(turned[:, :, heads:], layer.key_norm)
            turned = torch.cat((queries, keys), dim=2)
        cosines, sines = rotary
        turned = turned * cosines + turned.roll(head_dim // 2, -1) * sines
        new = torch.cat((turned[:, :, heads:], mixed[:, :, heads + kv_heads :]), dim=2)
        entries.view(-1, 2 * kv_heads * head_dim).index_copy_(
            0, where, new.flatten(2).flatten(0, 1)
        )
        queries = turned[:, :, :heads].view(slots, width, kv_heads, -1, head_dim)
        queries = queries.permute(0, 2, 3, 1, 4).reshape(slots, kv_heads, -1, head_dim)
        seen = entries[:, :extent].transpose(1, 2)
        mixed = functional.scaled_dot_product_attention(
            queries, seen[:, :kv_heads], seen[:, kv_heads:], attn_mask=bias
        )
        mixed = mixed.view(slots, heads, width, head_dim).transpose(1, 2)
        return hidden + layer.output(mixed.reshape(slots, width, heads * head_dim))

    def _mlp(self, layer: Layer, hidden: Tensor) -> Tensor:
        gate, up = layer.gate_up(self._normed(hidden, layer.before_mlp)).chunk(2, -1)
        return hidden + layer.down(functional.silu(gate) * up)


def _there(weights: Callable[[str], Tensor | None], name: str) -> Tensor:
    weight = weights(name)
    assert weight is not None, name
    return weight


def _fused(weights: Callable[[str], Tensor | None], prefix: str, names: tuple[str, ...]) -> Linear:
    """Return projections of one input as one layer, in this order."""
    weight = torch.cat([_there(weights, f"{prefix}{name}.weight") for name in names])
    biases = [weights(f"{prefix}{name}.bias") for name in names]
    given = [bias for bias in biases if bias is not None]
    return Linear(weight, torch.cat(given) if given else None)


def _layer(weights: Callable[[str], Tensor | None], prefix: str) -> Layer:
    attention, mlp = f"{prefix}self_attn.", f"{prefix}mlp."
    return Layer(
        before_attention=_there(weights, f"{prefix}input_layernorm.weight"),
        query_key_value=_fused(weights, attention, ("q_proj", "k_proj", "v_proj")),
        output=_fused(weights, attention, ("o_proj",)),
        before_mlp=_there(weights, f"{prefix}post_attention_layernorm.weight"),
        gate_up=_fused(weights, mlp, ("gate_proj", "up_proj")),
        down=_fused(weights, mlp, ("down_proj",)),
        query_norm=weights(f"{attention}q_norm.weight"),
        key_norm=weights(f"{attention}k_norm.weight"),
    )
