"""Describes models by name, from their configs alone: sizes, vocabulary, context."""

from dataclasses import dataclass

from ssdreal.models.configs import (
    TYPES,
    check_divides,
    context_of,
    heads_of,
    is_fast,
    parameters_of,
    read_config,
    undivided,
)
from ssdreal.models.folders import CONFIGS, find_folder
from ssdreal.models.random_weights import shape_file
from ssdreal.models.transformers_probe import sketch
from ssdsim.errors import require

BYTES = {"bfloat16": 2, "float32": 4}
LAYOUTS = {"bfloat16": 2, "float32": 1}  # of a product's weight on a CPU


@dataclass(frozen=True)
class Description:
    """What is known of a model before its weights are read.

    Attributes
    ----------
    name
        As given.
    vocabulary
        Token ids of its tokenizer: rows of the embedding.
    rows
        Rows of its head; a draft's may stand for a part of the vocabulary.
    context
        Positions it can handle: the sliding window's where that is shorter.
    bytes, device_bytes
        Memory its weights take in the given type: on a CPU, and on other devices, which need no
        second layout.
    layers, kv_heads, head_dim
        From which follows what a cache entry takes.

    fast
        Whether this project's own pass computes it, or transformers' layers do.

    A sharded model's `bytes` and `kv_heads` are those of one rank.

    """

    name: str
    vocabulary: int
    rows: int
    context: int
    bytes: int
    device_bytes: int
    layers: int
    kv_heads: int
    head_dim: int
    fast: bool = True


def describe(name: str, dtype: str = "bfloat16", ranks: int = 1) -> Description:
    """Return what is known of a model, sharded over so many ranks, from its config alone.

    Raises
    ------
    ConfigError
        There is no such model, or it is of a kind that `load` cannot build, or cannot be sharded.

    """
    require(dtype in BYTES, "dtype", dtype, f"must be one of {', '.join(BYTES)}")
    config = read_config(name)
    if not is_fast(config):
        kind, right = config["model_type"], f"random weights are made for {' or '.join(TYPES)}"
        require(not shape_file(name), f"model={name!r}: model_type", kind, right)
        return _by_transformers(name, dtype, ranks)
    check_divides(name, config, ranks)
    _, kv_heads, head_dim = heads_of(config)
    embedding, products = parameters_of(config)
    return Description(
        name=name,
        vocabulary=config["vocab_size"],
        rows=config.get("draft_vocab_size", config["vocab_size"]),
        context=context_of(config),
        bytes=(embedding + LAYOUTS[dtype] * products // ranks) * BYTES[dtype],
        device_bytes=(embedding + products // ranks) * BYTES[dtype],
        layers=config["num_hidden_layers"],
        kv_heads=kv_heads // ranks,
        head_dim=head_dim,
    )


def _by_transformers(name: str, dtype: str, ranks: int) -> Description:
    right = f"must be 1: {name} runs by transformers' layers, which are not sharded"
    require(ranks == 1, "pair.tp", ranks, right)
    found = sketch(name, find_folder(name, CONFIGS))
    taken = found.parameters * BYTES[dtype]
    return Description(
        name=name,
        vocabulary=found.vocabulary,
        rows=found.vocabulary,
        context=found.context,
        bytes=taken,
        device_bytes=taken,
        layers=found.layers,
        kv_heads=found.kv_heads,
        head_dim=found.head_dim,
        fast=False,
    )


def shared_vocabulary(*names: str) -> int:
    """Return the token ids that models have in common: the rows of the smallest table.

    Tables of one tokenizer are often padded to different lengths.

    Raises
    ------
    ConfigError
        There is no such model.

    """
    return min(describe(name).vocabulary for name in names)


def shards(name: str, ranks: int) -> bool:
    """Return whether a model can be sharded over so many ranks.

    Raises
    ------
    ConfigError
        There is no such model.

    """
    config = read_config(name)
    return not undivided(config, ranks) if is_fast(config) else ranks == 1
