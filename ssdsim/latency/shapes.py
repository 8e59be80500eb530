"""Shapes of decoder-only transformers: counts their parameters, bytes and operations."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ssdsim.errors import ConfigError, require
from ssdsim.latency.presets import find_preset


@dataclass(frozen=True)
class Shape:
    """A transformer with grouped-query attention and gated MLPs (Llama, Qwen, Mistral, Mixtral).

    Biases, the norms of queries and keys, and the routers of experts are left out of the counts:
    under 0.01 % of them.

    Attributes
    ----------
    hidden
        Width of the residual stream.
    layers
        Decoder layers.
    heads, kv_heads, head_dim
        Query heads, key and value heads, and the width of a head.
    intermediate
        Width of the MLP, or of one of its experts.
    vocab
        Rows of the embedding.
    tied
        Whether the output head is the embedding.
    experts, active
        MLPs of a layer, and how many of them a token goes through; 1 each in a dense model.

    """

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocab: int
    tied: bool
    experts: int = 1
    active: int = 1

    @cached_property
    def embedding(self) -> int:
        """Parameters of the embedding, and as many again in an output head of its own."""
        return self.vocab * self.hidden

    @cached_property
    def multiplied(self) -> int:
        """Parameters that a token is multiplied with: all matrices but the input embedding.

        The embedding is looked up, a row a token. The output head is multiplied, tied or not.
        """
        return self._shared + self.active * self._expert

    @property
    def parameters(self) -> int:
        """All parameters, which must fit in memory."""
        norms = (2 * self.layers + 1) * self.hidden
        matrices = self._shared + self.experts * self._expert
        return matrices + norms + (0 if self.tied else self.embedding)

    def read(self, tokens: int) -> float:
        """Return the parameters that a pass over so many tokens reads, on average.

        An expert is read if any token goes through it: E·(1 − (1 − k/E)^n) of a layer's E experts
        where each of n tokens goes through k, whichever the others do. Tokens of one text are
        more alike than that, so a real pass reads somewhat less.
        """
        idle = (1 - self.active / self.experts) ** tokens
        return self._shared + self.experts * (1 - idle) * self._expert

    @cached_property
    def _shared(self) -> int:
        """Parameters of the attention and the output head."""
        attention = 2 * self.hidden * self.head_dim * (self.heads + self.kv_heads)
        return self.layers * attention + self.embedding

    @cached_property
    def _expert(self) -> int:
        """Parameters of one MLP of every layer."""
        return self.layers * 3 * self.hidden * self.intermediate

    @cached_property
    def cached(self) -> int:
        """Numbers that the key-value cache keeps of one token."""
        return 2 * self.layers * self.kv_heads * self.head_dim


def read_shape(name: str) -> Shape:
    """Read a shape from a preset, a Hugging Face `config.json`, or a folder that holds one.

    Raises
    ------
    ConfigError
        There is no such preset or file, or it is not the config of a model of this kind; the
        message names file and field.

    """
    inside = Path(name) / "config.json"
    path = find_preset("shape", str(inside) if inside.is_file() else name, (".json",))
    config = _config(path)
    hidden = _count(path, config, "hidden_size")
    heads = _count(path, config, "num_attention_heads")
    experts = _count(path, config, _named(config, "num_local_experts", "num_experts"), 1)
    expert = _named(config, "moe_intermediate_size", "intermediate_size")
    return Shape(
        hidden=hidden,
        layers=_count(path, config, "num_hidden_layers"),
        heads=heads,
        # Files leave these two out where they equal the plain multi-head values.
        kv_heads=_count(path, config, "num_key_value_heads", heads),
        head_dim=_count(path, config, "head_dim", hidden // heads),
        intermediate=_count(path, config, expert),
        vocab=_count(path, config, "vocab_size"),
        tied=bool(config.get("tie_word_embeddings", False)),
        experts=experts,
        active=_active(path, config, experts),
    )


def _active(path: Path, config: dict[str, Any], experts: int) -> int:
    if experts == 1:
        return 1
    active = _count(path, config, "num_experts_per_tok")
    right = f"must be at most the {experts} experts"
    require(active <= experts, f"{path}: num_experts_per_tok", active, right)
    return active


def _named(config: dict[str, Any], *names: str) -> str:
    """Return which of these names the config uses; the last, if none."""
    return next((name for name in names if config.get(name)), names[-1])


def _config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"shape={str(path)!r}: must be JSON: {error}") from error
    require(isinstance(config, dict), "shape", str(path), "must hold a JSON object")
    for key in ("n_routed_experts", "first_k_dense_replace", "mlp_only_layers"):
        # Layers that are not all alike, which these counts cannot express.
        right = "must be a dense model, or one with the same experts in every layer"
        require(not config.get(key), f"{path}: {key}", config.get(key), right)
    return dict(config)


def _count(path: Path, config: dict[str, Any], key: str, default: int | None = None) -> int:
    value = default if config.get(key) is None else config[key]
    right = type(value) is int and value > 0
    require(right, f"{path}: {key}", value, "must be a positive whole number")
    return int(value or 0)
