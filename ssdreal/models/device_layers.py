"""A transformer decoder's layers on a GPU, compiled into few kernels.

A layer of a small model is a handful of products and what lies between; compiled, that is one
kernel between two products, and two where attention is (`ssdreal.kernels`). Nothing is complex
here, and only the cache's memory itself is written to, which compilers handle best. A sum is left
to whoever normalises it next.
"""

from collections.abc import Callable
from functools import cache, wraps
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from ssdreal.models.cache import keys_and_values
from ssdreal.models.compiled_functions import compiled_by, fused, fuses
from ssdreal.models.decoder import HIDDEN, Layer


class Around(NamedTuple):
    """The arguments that all layers of a pass share.

    Attributes
    ----------
    slots, at
        (slots, 1) and (slots, N): which of the cache's slots, and entries, receive the tokens.
    cosines, sines
        (slots, N, 1, head_dim / 2) float32.
    mask
        (slots, 1, N, 1, extent) bool: which entries each token sees.
    first
        The first of the cache's slots that the pass is over.
    heads
        Query heads.
    epsilon
        Of the norms.

    """

    slots: Tensor
    at: Tensor
    cosines: Tensor
    sines: Tensor
    mask: Tensor
    first: int
    heads: int
    epsilon: float


Gathers = Callable[[Tensor, Tensor, Layer, Around], Tensor]
"""Attention between its two products; see `gathered`."""

Through = Callable[[Tensor, Tensor, Tensor, Layer, Around], tuple[Tensor, Tensor]]
"""A layer; see `through`."""


class Kernels(NamedTuple):
    """The parts of a pass."""

    begun: Callable[..., tuple[Tensor, Tensor, Tensor]]
    through: Through
    ended: Callable[..., Tensor]


def begun(
    tokens: Tensor, positions: Tensor, embedding: Tensor, rotation: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the tokens' embeddings, and the cosines and sines of their positions.

    Parameters
    ----------
    tokens, positions
        (slots, N). A position beyond the last is junk's.
    rotation
        (context, head_dim / 2, 2): cosine and sine by position and pair.

    """
    turn = rotation[positions.clamp(max=len(rotation) - 1)][:, :, None]
    cosines, sines = (part.contiguous() for part in turn.unbind(-1))
    return functional.embedding(tokens, embedding), cosines, sines


def gathered(mixed: Tensor, entries: Tensor, layer: Layer, here: Around) -> Tensor:
    """Write new tokens to a layer's part of the cache, and return what they gather from it.

    Parameters
    ----------
    mixed
        (slots, N, heads + 2 kv_heads, head_dim): queries, keys and values.
    entries, layer, here
        See `through`.

    Returns
    -------
    Tensor
        (slots, N, heads x head_dim).

    """
    slots, width, _, head_dim = mixed.shape
    keys, values = keys_and_values(entries)
    kv_heads, extent = keys.shape[1], here.mask.shape[-1]
    queries, own_keys, own_values = _sides(mixed, layer, here, kv_heads)
    keys[here.slots, :, :, here.at] = own_keys.to(keys.dtype)
    values[here.slots, :, here.at] = own_values.to(values.dtype)
    mine = slice(here.first, here.first + slots)
    seen_keys = keys[mine].flatten(0, 1)[:, :, :extent]
    seen_values = values[mine].flatten(0, 1)[:, :extent]
    group = here.heads // kv_heads
    rows = queries.to(keys.dtype).view(slots, width, kv_heads, group, head_dim).transpose(1, 2)
    scores = torch.bmm(rows.reshape(slots * kv_heads, width * group, head_dim), seen_keys)
    scores = scores.view(slots, kv_heads, width, group, extent).masked_fill(~here.mask, HIDDEN)
    weights = scores.softmax(-1).view(slots * kv_heads, width * group, extent)
    found = torch.bmm(weights, seen_values).view(slots, kv_heads, width, group * head_dim)
    return found.transpose(1, 2).reshape(slots, width, here.heads * head_dim)


@cache  # one function for all models: a compiler would take another one for a new one
def by_triton() -> Gathers:
    """Return what does the same as `gathered` in two kernels; triton must be there."""
    from ssdreal.kernels.attention import attention
    from ssdreal.kernels.rotary_scatter import Rotary

    def gathered_by_triton(mixed: Tensor, entries: Tensor, layer: Layer, here: Around) -> Tensor:
        norms = layer.query_norm, layer.key_norm
        rotary = Rotary(here.cosines, here.sines, *norms, here.epsilon)
        return attention(mixed, rotary, entries, here.mask[:, 0, :, 0], here.at, here.first)

    return gathered_by_triton


def through(
    hidden: Tensor,
    more: Tensor,
    entries: Tensor,
    layer: Layer,
    here: Around,
    gathers: Gathers = gathered,
) -> tuple[Tensor, Tensor]:
    """Compute one layer: from and to the residual stream and what is still to be added to it.

    Parameters
    ----------
    hidden, more
        (slots, N, hidden).
    entries
        The layer's part of the cache, all slots of it: see `Cache`. Written to, and one tensor: a
        compiler that knew of two that share their memory would copy it.
    layer
        Its weights, none of them packed.
    here
        What layers have in common.
    gathers
        Attention.

    """
    if layer.attends:
        hidden = hidden + more
        x = _normed(hidden, layer.before_attention, here.epsilon)
        mixed = functional.linear(x, layer.inward.wide, layer.inward_bias)
        mixed = mixed.view(*x.shape[:2], here.heads + 2 * entries.shape[2], entries.shape[4])
        found = gathers(mixed, entries, layer, here).to(x.dtype)
        more = functional.linear(found, layer.outward.wide, layer.outward_bias)
    if layer.feeds:
        hidden = hidden + more
        x = _normed(hidden, layer.before_mlp, here.epsilon)
        gate, up = functional.linear(x, layer.gate_up.wide, layer.gate_up_bias).chunk(2, -1)
        more = functional.linear(functional.silu(gate) * up, layer.down.wide, layer.down_bias)
    return hidden, more


@cache
def through_by(gathers: Gathers) -> Through:
    """Return `through` with another way to attend."""

    @wraps(through)
    def layer_by(
        hidden: Tensor, more: Tensor, entries: Tensor, layer: Layer, here: Around
    ) -> tuple[Tensor, Tensor]:
        return through(hidden, more, entries, layer, here, gathers)

    return layer_by


def ended(hidden: Tensor, more: Tensor, norm: Tensor, head: Tensor, epsilon: float) -> Tensor:
    """Return the logits, float32."""
    return functional.linear(_normed(hidden + more, norm, epsilon), head).float()


def _normed(x: Tensor, doubled: Tensor, epsilon: float) -> Tensor:
    size = x.shape[-1]
    return functional.rms_norm(x, [size], doubled[:size], epsilon)


def _sides(
    mixed: Tensor, layer: Layer, here: Around, kv_heads: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return queries, keys and values, (slots, N, heads, head_dim); queries are scaled."""
    queries, keys, values = torch.split(mixed, [here.heads, kv_heads, kv_heads], dim=2)
    if layer.query_norm is not None and layer.key_norm is not None:
        queries = _normed(queries, layer.query_norm, here.epsilon)
        keys = _normed(keys, layer.key_norm, here.epsilon)
    return _turned(queries, here) * mixed.shape[-1] ** -0.5, _turned(keys, here), values


def _turned(heads: Tensor, here: Around) -> Tensor:
    """Return heads with the two coordinates of each pair, which lie side by side, rotated."""
    pairs = heads.float().view(*heads.shape[:-1], -1, 2)
    left, right = pairs[..., 0], pairs[..., 1]
    turned = (
        left * here.cosines - right * here.sines,
        left * here.sines + right * here.cosines,
    )
    return torch.stack(turned, dim=-1).flatten(-2)


PLAIN = Kernels(begun, through, ended)
"""For prompts: each has a length of its own, for which nothing should be compiled."""


def kernels(device: torch.device) -> Kernels | None:
    """Return the parts of a pass as this device computes them best; None: it is a host."""
    if device.type == "cpu":
        return None
    layer = through_by(by_triton()) if fuses(device) else through
    return Kernels(fused(begun, device), fused(layer, device), fused(ended, device))


def kernels_by(backend: str) -> Kernels:
    """Return them as one of torch's compilers makes them."""
    parts: Any = (compiled_by(backend, part) for part in (begun, through, ended))
    return Kernels(*parts)
