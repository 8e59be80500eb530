"""Has transformers' layers attend by this project's cache, masks and token trees."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.cache_utils import Cache as TheirCache

from ssdreal.models.cache import Cache
from ssdreal.models.decoder import HIDDEN
from ssdreal.models.linear import products
from ssdreal.models.tree_paths import Layout, along, keys_along, rejoined, values_along
from ssdsim.errors import ConfigError


class Here(NamedTuple):
    """What attention needs to know of the pass that is computed.

    Attributes
    ----------
    cache
        Holds all keys and values.
    at
        (slots, N) int64: the entries of the tokens.
    sees
        (slots, N, extent) bool; (slots x ways, places, extent) where trees are laid out.
    laid
        How they are; None where every slot has a chain.

    """

    cache: Cache
    at: Tensor
    sees: Tensor
    laid: Layout | None


class Entries(TheirCache):
    """A pass's view of the cache, for layers that give it their keys and values."""

    def __init__(self, here: Here) -> None:
        super().__init__(layers=[])
        self.here = here

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor]:  # the names are transformers'
        """Write (slots, kv_heads, N, head_dim) to a layer's entries; return all that it holds."""
        cache, at = self.here.cache, self.here.at
        slots = torch.arange(cache.slots, device=at.device)[:, None]
        held, kept = cache.keys[layer_idx], cache.values[layer_idx]
        held[slots, :, :, at] = key_states.transpose(1, 2).to(held.dtype)
        kept[slots, :, at] = value_states.transpose(1, 2).to(kept.dtype)
        return held.transpose(2, 3), kept

    def get_seq_length(self, layer: int | None = None) -> int:
        """Say nothing: tokens come with their positions; a layer that counts is refused."""
        if layer is not None:
            raise ConfigError("a layer takes the length of the cache for that of the text")
        return 0

    def get_query_offset(self, *_: Any) -> int:
        """Say nothing: masks are made of what tokens see."""
        return 0

    def get_mask_sizes(self, *_: Any) -> tuple[int, int]:
        """Return entries that attention reads, and the first one."""
        return self.here.sees.shape[-1], 0


class OwnAttention:
    """The attention and the masks of one transformers model, under a name of their own.

    Attributes
    ----------
    name
        What its config calls this way of attending.
    here
        The pass that is computed.
    asked
        How often layers have attended.

    """

    here: Here

    def __init__(self) -> None:
        self.name, self.asked = f"ssdreal_{id(self)}", 0
        AttentionInterface.register(self.name, self.attended)
        AttentionMaskInterface.register(self.name, self.mask)

    def mask(self, *_: Any, mask_function: Any, **__: Any) -> Tensor:
        """Return what tokens see in layers of a kind, (slots, 1, N, extent), bool.

        A model says by a token's place in the text and another's whether it sees that. What a token
        sees lies in the cache in the order of the text, so the places of entries are counted among
        those that it sees.
        """
        sees = self.here.sees
        place = sees.cumsum(-1) - 1
        any_ = place.new_zeros(1)  # slots and heads are all alike
        allowed: Tensor = mask_function(any_, any_, place[..., -1:], place)
        return (sees & allowed)[:, None]

    def attended(
        self,
        module: nn.Module,
        queries: Tensor,
        keys: Tensor,
        values: Tensor,
        attention_mask: Tensor | None = None,
        scaling: float | None = None,
        softcap: float | None = None,
        s_aux: Tensor | None = None,
        position_bias: Tensor | None = None,
        **_: Any,
    ) -> tuple[Tensor, None]:
        """Return what the query heads gather, (slots, N, heads, head_dim).

        Parameters
        ----------
        module
            The layer's attention.
        queries
            (slots, heads, N, head_dim).
        keys, values
            (slots, kv_heads, capacity, head_dim): all that the layer's cache holds.
        attention_mask
            From `mask`; None where the model asks for none.
        scaling
            What scores are multiplied with, by default head_dim ** -.5.
        softcap
            Scores s become softcap x tanh(s / softcap).
        s_aux
            (heads,) scores of what is attended to in vain.
        position_bias
            What is added to scores: not supported.

        """
        if position_bias is not None:
            raise ConfigError(f"{type(module).__name__} adds a bias by position to its scores")
        self.asked += 1
        slots, heads, width, size = queries.shape
        sees = self.here.sees if attention_mask is None else attention_mask[:, 0]
        rows = _grouped(queries * (size**-0.5 if scaling is None else scaling), keys.shape[1])
        keys, laid = keys.transpose(2, 3), self.here.laid
        if laid is not None:
            extent, rows = sees.shape[-1], along(rows, laid)
            keys, values = keys_along(keys, laid, extent), values_along(values, laid, extent)
        with torch._C.DisableTorchFunction():  # noqa: SLF001 - its sums are in order already
            gathered = _gathered(rows, keys, values, sees, softcap, s_aux)
        if laid is not None:
            gathered = rejoined(gathered, laid, slots)
        return gathered.view(slots, width, heads, -1), None


def _grouped(queries: Tensor, kv_heads: int) -> Tensor:
    """Return (slots, heads, N, head_dim) as (slots, kv_heads, N, group, head_dim)."""
    slots, _, width, size = queries.shape
    return queries.reshape(slots, kv_heads, -1, width, size).transpose(2, 3).contiguous()


def _gathered(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    sees: Tensor,
    softcap: float | None,
    sinks: Tensor | None,
) -> Tensor:
    """Return what `decoder.attended` does, with all that models do to scores."""
    slots, kv_heads, width, group, size = queries.shape
    extent = sees.shape[-1]
    rows = queries.reshape(slots * kv_heads, width * group, size)
    keys, values = keys.flatten(0, 1)[:, :, :extent], values.flatten(0, 1)[:, :extent]
    scores = products(rows, keys).view(slots, kv_heads, width, group, extent)
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    scores = scores.masked_fill(~sees[:, None, :, None], HIDDEN)
    if sinks is not None:
        more = sinks.to(scores.dtype).view(kv_heads, 1, group, 1)
        scores = torch.cat((scores, more.expand(*scores.shape[:-1], 1)), dim=-1)
    weights = scores.softmax(-1)[..., :extent].reshape(slots * kv_heads, width * group, extent)
    gathered = products(weights, values).view(slots, kv_heads, width, -1)
    return gathered.transpose(1, 2).reshape(slots, width, -1)
