"""A transformer decoder's layers on a CPU, as plain functions that TorchScript can compile.

A pass of a small model on one core streams its weights through the caches, so whatever runs
between two products starts cold. That is why operations are few here, and why Python, which is
the coldest code of all, is compiled away: 12 to 18 % of a pass of SmolLM2-135M.
"""

import warnings
from typing import Any, NamedTuple, Optional

import torch
from torch import Tensor
from torch.nn import functional

from ssdreal.models.linear import Weight, linear, products
from ssdreal.models.tree_paths import Layout, along, keys_along, rejoined, values_along

HIDDEN = -1e30
"""A score that must not count: its exponential is 0, and a row of nothing else is finite."""


class Layer(NamedTuple):
    """What a decoder layer reads; projections lie side by side where they share their input.

    Norms' weights are `doubled`.

    Attributes
    ----------
    before_attention, before_mlp
        Norms of the residual stream.
    inward, inward_bias
        Queries, keys and values, (heads + 2 kv_heads) x head_dim rows. In a head of queries or
        keys the two coordinates that rotate together lie side by side.
    query_norm, key_norm
        Norms of a head, where the model has them.
    outward, outward_bias
        From the heads back to the residual stream.
    gate_up, gate_up_bias
        Into the MLP.
    down, down_bias
        Out of it.
    attends, feeds
        Whether the layer has its attention, and its MLP: a draft may be the target without some.

    """

    before_attention: Tensor
    inward: Weight
    inward_bias: Tensor | None
    query_norm: Tensor | None
    key_norm: Tensor | None
    outward: Weight
    outward_bias: Tensor | None
    before_mlp: Tensor
    gate_up: Weight
    gate_up_bias: Tensor | None
    down: Weight
    down_bias: Tensor | None
    attends: bool
    feeds: bool


class Pass(NamedTuple):
    """The arguments that all layers of a pass share.

    Attributes
    ----------
    store
        (layers, numbers): all that the cache holds.
    places
        Which of them receive the tokens' keys and values: see `Cache.places`.
    keys, values
        The same memory, as attention reads it: see `Cache`.
    turn, bias
        See `turned` and `attended`.
    heads
        Query heads.
    epsilon
        Of the norms.
    laid
        How the ways of token trees are laid out; None where every slot has a chain.

    """

    store: Tensor
    places: Tensor
    keys: Tensor
    values: Tensor
    turn: Tensor
    bias: Tensor
    heads: int
    epsilon: float
    laid: Optional[Layout] = None  # noqa: UP045 - TorchScript knows no other spelling here


def beyond(here: Pass, layers: int) -> Pass:
    """Return the arguments of the layers behind the first ones."""
    store, keys, values = here.store[layers:], here.keys[layers:], here.values[layers:]
    return here._replace(store=store, keys=keys, values=values)


def turn_of(rotation: Tensor, heads: int, kv_heads: int) -> Tensor:
    """Return what to multiply pairs with: (slots, N, heads + 2 kv_heads, head_dim / 2).

    Queries are scaled on this occasion, and values not rotated.

    Parameters
    ----------
    rotation
        (slots, N, head_dim / 2), complex: cosine and sine of the tokens' positions.
    heads, kv_heads
        Of queries, and of keys or values.

    """
    rotation = rotation[:, :, None]
    turn = rotation.new_ones((*rotation.shape[:2], heads + 2 * kv_heads, rotation.shape[-1]))
    turn[:, :, :heads] = rotation * (2 * rotation.shape[-1]) ** -0.5
    turn[:, :, heads:-kv_heads] = rotation
    return turn


def bias_of(mask: Tensor, group: int, dtype: torch.dtype) -> Tensor:
    """Return what to add to the scores, (slots, 1, N x group, extent), for a mask."""
    bias = torch.where(mask, 0.0, HIDDEN).to(dtype)
    return bias[:, None].repeat_interleave(group, dim=2)


def doubled(weight: Tensor) -> Tensor:
    """Return a norm's weight as `normed` takes it: in float32 on a CPU, whatever it scales."""
    twice = torch.cat((weight, weight))
    return twice.float() if twice.device.type == "cpu" else twice


def normed(x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    """Return x over its root mean square, times the weight.

    x and -x together have mean 0, so that layer_norm is the same thing: three operations, where
    rms_norm takes eight on a CPU.
    """
    both = torch.cat((x, -x), dim=-1)
    scaled = functional.layer_norm(both, [both.shape[-1]], weight, None, epsilon)
    return scaled[..., : x.shape[-1]]


def turned(mixed: Tensor, layer: Layer, turn: Tensor, heads: int, epsilon: float) -> Tensor:
    """Return queries, keys and values in float32, the former two normed and rotated.

    Parameters
    ----------
    mixed
        (slots, N, heads + 2 kv_heads, head_dim).
    turn
        (slots, N, heads + 2 kv_heads, head_dim / 2), complex: what to multiply pairs with.

    """
    query_norm, key_norm = layer.query_norm, layer.key_norm
    if query_norm is not None and key_norm is not None:
        keys = heads + (mixed.shape[2] - heads) // 2
        parts = (
            normed(mixed[:, :, :heads], query_norm, epsilon),
            normed(mixed[:, :, heads:keys], key_norm, epsilon),
            mixed[:, :, keys:],
        )
        mixed = torch.cat(parts, dim=2)
    slots, width, every, head_dim = mixed.shape
    pairs = mixed.float().view(slots, width, every, head_dim // 2, 2)
    return torch.view_as_real(torch.view_as_complex(pairs) * turn).flatten(-2)


def attended(queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor) -> Tensor:
    """Return what the query heads gather from the cache.

    The heads that share keys and values are more rows of one product. Products by oneDNN's
    kernels: those inside scaled_dot_product_attention take longer.

    Parameters
    ----------
    queries
        (slots, kv_heads, N, group, head_dim), scaled.
    keys
        (slots, kv_heads, head_dim, capacity).
    values
        (slots, kv_heads, capacity, head_dim).
    bias
        (slots, 1, N x group, extent): added to the scores.

    Returns
    -------
    Tensor
        (slots, N, heads x head_dim).

    """
    slots, kv_heads, width, group, head_dim = queries.shape
    extent = bias.shape[-1]
    rows = queries.reshape(slots * kv_heads, width * group, head_dim)
    keys = keys.flatten(0, 1)[:, :, :extent]
    values = values.flatten(0, 1)[:, :extent]
    scores = products(rows, keys).view(slots, kv_heads, width * group, extent)
    weights = scores.add_(bias).softmax(-1).view(slots * kv_heads, width * group, extent)
    gathered = products(weights, values).view(slots, kv_heads, width, group * head_dim)
    return gathered.transpose(1, 2).reshape(slots, width, kv_heads * group * head_dim)


def attention(x: Tensor, layer: Layer, number: int, here: Pass) -> Tensor:
    """Return what attention adds to the residual stream; write keys and values to the cache."""
    slots, width = x.shape[:2]
    keys, values, store = here.keys[number], here.values[number], here.store[number]
    kv_heads, head_dim = keys.shape[1], keys.shape[2]
    mixed = linear(x, layer.inward, layer.inward_bias)
    mixed = mixed.view(slots, width, here.heads + 2 * kv_heads, head_dim)
    mixed = turned(mixed, layer, here.turn, here.heads, here.epsilon)
    store.index_copy_(0, here.places, mixed[:, :, here.heads :].to(store.dtype).reshape(-1))
    queries = mixed[:, :, : here.heads].view(slots, width, kv_heads, -1, head_dim).transpose(1, 2)
    queries = queries.to(store.dtype, memory_format=torch.contiguous_format)
    laid, extent = here.laid, here.bias.shape[-1]
    if laid is None:
        gathered = attended(queries, keys, values, here.bias)
    else:
        keys, values = keys_along(keys, laid, extent), values_along(values, laid, extent)
        gathered = attended(along(queries, laid), keys, values, here.bias)
        gathered = rejoined(gathered, laid, slots)
    return linear(gathered.to(x.dtype), layer.outward, layer.outward_bias)


def mlp(x: Tensor, layer: Layer) -> Tensor:
    """Return what the MLP adds to the residual stream."""
    gate, up = linear(x, layer.gate_up, layer.gate_up_bias).chunk(2, -1)
    return linear(functional.silu(gate) * up, layer.down, layer.down_bias)


def decode(hidden: Tensor, layers: list[Layer], here: Pass) -> Tensor:
    """Return the residual stream after all layers, (slots, N, hidden).

    Parameters
    ----------
    hidden
        (slots, N, hidden): the tokens' embeddings.
    layers
        The layers.
    here
        What they have in common.

    """
    for i, layer in enumerate(layers):
        if layer.attends:
            x = normed(hidden, layer.before_attention, here.epsilon)
            hidden = hidden + attention(x, layer, i, here)
        if layer.feeds:
            hidden = hidden + mlp(normed(hidden, layer.before_mlp, here.epsilon), layer)
    return hidden


def compiled() -> Any:
    """Return `decode` without Python in it, or as it is where TorchScript cannot compile it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecated, but nothing else removes Python's cost
            return torch.jit.script(decode)
    except (AttributeError, RuntimeError):
        return decode
