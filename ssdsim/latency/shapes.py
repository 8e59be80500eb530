"""Shapes of dense decoder-only transformers, and what follows from them by counting."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssdsim.errors import ConfigError, require
from ssdsim.latency.presets import find_preset


@dataclass(frozen=True, slots=True)
class Shape:
    """A transformer with grouped-query attention and gated MLPs (Llama, Qwen, Mistral).

    Biases and the norms of queries and keys are left out of the counts: under 0.01 % of them.

    Attributes
    ----------
    hidden
        Width of the residual stream.
    layers
        Decoder layers.
    heads, kv_heads, head_dim
        Query heads, key and value heads, and the width of a head.
    intermediate
        Width of the MLP.
    vocab
        Rows of the embedding.
    tied
        Whether the output head is the embedding.

    """

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocab: int
    tied: bool

    @property
    def embedding(self) -> int:
        """Parameters of the embedding, and as many again in an output head of its own."""
        return self.vocab * self.hidden

    @property
    def multiplied(self) -> int:
        """Parameters that each pass reads and multiplies: all matrices but the input embedding.

        The embedding is looked up, a row a token. The output head is multiplied, tied or not.
        """
        attention = 2 * self.hidden * self.head_dim * (self.heads + self.kv_heads)
        mlp = 3 * self.hidden * self.intermediate
        return self.layers * (attention + mlp) + self.embedding

    @property
    def parameters(self) -> int:
        """All parameters, which must fit in memory."""
        norms = (2 * self.layers + 1) * self.hidden
        return self.multiplied + norms + (0 if self.tied else self.embedding)

    @property
    def cached(self) -> int:
        """Numbers that the key-value cache keeps of one token."""
        return 2 * self.layers * self.kv_heads * self.head_dim


def read_shape(name: str) -> Shape:
    """Read a shape from a preset, a Hugging Face `config.json`, or a folder that holds one.

    Raises
    ------
    ConfigError
        There is no such preset or file, or it is not the config of a dense model of this kind;
        the message names file and field.

    """
    inside = Path(name) / "config.json"
    path = find_preset("shape", str(inside) if inside.is_file() else name, (".json",))
    config = _config(path)
    hidden = _count(path, config, "hidden_size")
    heads = _count(path, config, "num_attention_heads")
    return Shape(
        hidden=hidden,
        layers=_count(path, config, "num_hidden_layers"),
        heads=heads,
        # Files leave these two out where they equal the plain multi-head values.
        kv_heads=_count(path, config, "num_key_value_heads", heads),
        head_dim=_count(path, config, "head_dim", hidden // heads),
        intermediate=_count(path, config, "intermediate_size"),
        vocab=_count(path, config, "vocab_size"),
        tied=bool(config.get("tie_word_embeddings", False)),
    )


def _config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text())
    except ValueError as error:
        raise ConfigError(f"shape={str(path)!r}: must be JSON: {error}") from error
    require(isinstance(config, dict), "shape", str(path), "must hold a JSON object")
    for key in ("num_experts", "num_local_experts", "n_routed_experts"):
        # A pass over few tokens reads only some experts, which these counts cannot express.
        require(not config.get(key), f"{path}: {key}", config.get(key), "must be a dense model")
    return dict(config)


def _count(path: Path, config: dict[str, Any], key: str, default: int | None = None) -> int:
    value = default if config.get(key) is None else config[key]
    right = type(value) is int and value > 0
    require(right, f"{path}: {key}", value, "must be a positive whole number")
    return int(value or 0)
