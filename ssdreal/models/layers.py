"""Builds a decoder's layers from a checkpoint's weights: projections fused and prepacked."""

from collections.abc import Callable

import torch
from torch import Tensor

from ssdreal.models.decoder import Layer, doubled
from ssdreal.models.linear import packed

Weights = Callable[[str], Tensor | None]
"""Gives the tensor of a name as in a Hugging Face checkpoint, without the `model.` prefix; None
where there is none of that name."""


def read_layer(weights: Weights, prefix: str, heads: int, kv_heads: int, head_dim: int) -> Layer:
    """Return the layer whose weights' names begin with `prefix`."""
    attention, mlp = f"{prefix}self_attn.", f"{prefix}mlp."
    turned = (heads + kv_heads) * head_dim

    def inward(suffix: str) -> Tensor | None:
        fused = _fused(weights, [f"{attention}{side}_proj" for side in "qkv"], suffix)
        return None if fused is None else _paired(fused, turned, head_dim)

    def norm(name: str) -> Tensor | None:
        weight = weights(f"{attention}{name}.weight")
        return None if weight is None else doubled(_paired(weight, head_dim, head_dim))

    return Layer(
        before_attention=doubled(there(weights, f"{prefix}input_layernorm.weight")),
        inward=packed(_given(inward("weight"))),
        inward_bias=inward("bias"),
        query_norm=norm("q_norm"),
        key_norm=norm("k_norm"),
        outward=packed(there(weights, f"{attention}o_proj.weight")),
        outward_bias=weights(f"{attention}o_proj.bias"),
        before_mlp=doubled(there(weights, f"{prefix}post_attention_layernorm.weight")),
        gate_up=packed(_given(_fused(weights, [f"{mlp}gate_proj", f"{mlp}up_proj"], "weight"))),
        gate_up_bias=_fused(weights, [f"{mlp}gate_proj", f"{mlp}up_proj"], "bias"),
        down=packed(there(weights, f"{mlp}down_proj.weight")),
        down_bias=weights(f"{mlp}down_proj.bias"),
        attends=True,
        feeds=True,
    )


def there(weights: Weights, name: str) -> Tensor:
    """Return the tensor of a name that must be there."""
    weight = weights(name)
    assert weight is not None, name
    return weight


def _given(weight: Tensor | None) -> Tensor:
    assert weight is not None
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
