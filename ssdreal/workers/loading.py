"""Loads a model by name onto its device, ready to run."""

from typing import TYPE_CHECKING, Any

from ssdreal.models.catalog import Description, describe
from ssdreal.models.checkpoints import huggingface, sliced, stored
from ssdreal.models.configs import read_config
from ssdreal.models.folders import first_line
from ssdreal.models.random_weights import random_weights, shape_file, transformers_config
from ssdsim.errors import ConfigError, require

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ssdreal.models.layers import Weights
    from ssdreal.models.model import Model
    from ssdreal.sharding.weight_shares import Share

MANY_BYTES = 1 << 24  # more than a core keeps close by: reading them again takes memory's time


def load(
    name: str,
    dtype: str = "bfloat16",
    device: str = "cpu",
    target: str | None = None,
    share: "Share | None" = None,
    vocabulary: int | None = None,
) -> "Model":
    """Return a model ready to run.

    Parameters
    ----------
    name
        One of `NAMES`, a folder in Hugging Face's or the draft's format, a Hub id, or a shape
        (see `shape_file`), which gets random weights.
    dtype
        Of weights, cache and whatever passes between operations: "bfloat16" or "float32".
    device
        As torch names it.
    target
        The model whose embedding a draft without one shares.
    share
        Which part of the model, a target, is wanted; None: all of it. No other rank's weights are
        read where the files allow that.
    vocabulary
        How many token ids there are to be, the first ones: embedding and head have no more rows,
        so that no other can be drafted or sampled. None: all that the model has.

    Raises
    ------
    ConfigError
        Model, type or device cannot be had.

    """
    import torch

    from ssdreal.models.huge_pages import use_huge_pages

    described = describe(name, dtype, share.ranks if share else 1)
    _check_device(device)
    if not described.fast:
        return _by_transformers(described, dtype, device, vocabulary)
    config, weights, ids = _found(described, dtype, device, target, share)
    weights = _cut(_placed(weights, share, device, getattr(torch, dtype)), share, vocabulary)
    rotation = _rotation(config, described.context).to(device)
    model = _built(config, weights, rotation, None if ids is None else ids.to(device), share)
    if described.bytes > MANY_BYTES:
        use_huge_pages()
    return model


def _found(
    described: Description, dtype: str, device: str, target: str | None, share: "Share | None"
) -> "tuple[Any, Weights, Tensor | None]":
    """Return config, weights by name, and the ids that the head's rows stand for if not all."""
    import torch

    if shape_file(described.name):
        _check_room(described, device)
        config = transformers_config(read_config(described.name))
        return config, random_weights(config, getattr(torch, dtype), device), None
    if share is None:
        config, tensors, ids = stored(described.name, dtype, target)
    else:
        config, tensors, ids = sliced(described.name, dtype)
    return config, _named(tensors), ids


def _by_transformers(
    described: Description, dtype: str, device: str, vocabulary: int | None
) -> "Model":
    from ssdreal.models.transformers_model import TransformersModel

    name = described.name
    right = f"must be cpu: {name} runs by transformers' layers, on a host alone"
    require(device == "cpu", "device", device, right)
    rows = vocabulary or described.vocabulary
    whole = huggingface(name, dtype)
    try:
        model = TransformersModel(whole, described.context, rows)
        model.check_bits()
    except ConfigError as error:
        raise ConfigError(f"model={name!r}: {error}") from error
    return model


def _built(
    config: Any,
    weights: "Weights",
    rotation: "Tensor",
    ids: "Tensor | None",
    share: "Share | None",
) -> "Model":
    from ssdreal.models.model import Model

    if share is None:
        return Model(config, weights, rotation, ids)
    from ssdreal.sharding.model import ShardedModel

    return ShardedModel(config, weights, rotation, share)


def _named(tensors: "dict[str, Any]") -> "Weights":
    """Return what gives stored weights by name, with or without the prefix of their files."""
    return lambda key: tensors.get(key, tensors.get(f"model.{key}"))


def _placed(
    weights: "Weights", share: "Share | None", device: str, dtype: "torch.dtype"
) -> "Weights":
    """Return what gives weights as a model wants them: a share is cut before it is moved."""

    def weight(key: str) -> "Tensor | None":
        found = weights(key)
        if found is not None and share is not None:
            found = share.cut(key, found)
        return None if found is None else found.to(device=device, dtype=dtype)

    return weight


def _cut(weights: "Weights", share: "Share | None", vocabulary: int | None) -> "Weights":
    """Return what gives weights whose tables have so many rows."""
    # Parts of a sharded head are cut when they are together: to the rows of the embedding.
    tables = ("embed_tokens.weight", *(() if share else ("lm_head.weight",)))

    def weight(key: str) -> "Tensor | None":
        found = weights(key)
        return found[:vocabulary] if found is not None and key in tables else found

    return weight


def _check_room(described: Description, device: str) -> None:
    """Refuse weights that a GPU has no room for; a host's room was looked at before."""
    import torch

    if torch.device(device).type != "cuda":
        return
    free, _ = torch.cuda.mem_get_info(device)
    needed = described.device_bytes
    right = f"needs about {needed >> 20} MB of {device}, {free >> 20} MB are free there"
    require(needed <= free, "model", described.name, right)


def _rotation(config: Any, context: int) -> "Tensor":
    """Return cosine and sine by position and pair, (context, head_dim / 2) complex64.

    They are transformers' own, so that whatever the config says of scaling holds here too.
    """
    import torch
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    positions = torch.arange(context)[None]
    cosines, sines = LlamaRotaryEmbedding(config)(torch.zeros(1), positions)
    return torch.complex(cosines, sines)[0].chunk(2, -1)[0].contiguous()


def _check_device(device: str) -> None:
    import torch

    try:
        kind = torch.device(device).type
    except RuntimeError as error:
        raise ConfigError(f"device={device!r}: {first_line(error)}") from error
    there = kind == "cpu" or (kind == "cuda" and torch.cuda.is_available())
    require(there, "device", device, "must be cpu, or cuda where there is a GPU")
