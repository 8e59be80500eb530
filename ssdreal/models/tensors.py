"""Checks from file headers whether a checkpoint holds all tensors that its config asks for.

transformers gives a weight that no file holds random numbers, and only warns of it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssdreal.models.configs import heads_of, is_fast, read_config
from ssdreal.models.draft_format import is_draft
from ssdreal.models.folders import first_line, read_json
from ssdsim.errors import ConfigError, require

WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
FLOATS = ("F64", "F32", "F16", "BF16")
WHOLE_NUMBERS = ("I32", "I64")
LACKS = "must have all weights that its config.json describes, lacks"
FEW = 3
"""Tensors that a complaint names, beside how many they are."""


@dataclass(frozen=True)
class Header:
    """What a file says of a tensor: its shape, and its type as safetensors calls it."""

    shape: tuple[int, ...]
    dtype: str


def check_weights(name: str, folder: Path) -> None:
    """Refuse a checkpoint whose safetensors files do not hold a model's weights, each as it is.

    Without such files there is nothing to check: transformers may read others.

    Raises
    ------
    ConfigError
        A file is missing, damaged or cut short, or a tensor is missing or has another shape or
        type than `config.json` says.

    """
    config = read_config(name)
    files = weight_files(name, folder)
    if not files:
        return
    found: dict[str, Header] = {}
    for file in files:
        found |= {plain_name(key): header for key, header in _headers(name, file)}
    if not is_fast(config):
        return  # which tensors there must be, transformers says when it reads them
    draft = is_draft(config)
    wanted = draft_tensors(config, found) if draft else tensors(config)
    require_none(name, [key for key in wanted if key not in found], LACKS)
    require_none(
        name,
        [
            f"{key} {shape}, not {found[key].shape}"
            for key, shape in wanted.items()
            if found[key].shape != shape
        ],
        "must have weights of the shapes that its config.json says, has others",
    )
    odd = [f"{key} is {found[key].dtype}" for key in wanted if not _readable(key, found, draft)]
    require_none(name, odd, f"must have weights of type {' or '.join(FLOATS)}, has others")


def weight_files(name: str, folder: Path) -> list[Path]:
    """Return the safetensors files that make up a checkpoint, as transformers looks for them.

    Raises
    ------
    ConfigError
        The index of a checkpoint in parts names a file that is not there.

    """
    whole, index = folder / WHOLE, folder / INDEX
    if whole.is_file() or not index.is_file():
        return [whole] if whole.is_file() else []
    parts = read_json(index).get("weight_map")
    right = f"needs an {INDEX} with a `weight_map` of files by tensor"
    fine = isinstance(parts, dict) and all(isinstance(part, str) for part in parts.values())
    require(fine and bool(parts), "model", name, right)
    assert isinstance(parts, dict)
    files = sorted({folder / part for part in parts.values()})
    missing = [file.name for file in files if not file.is_file()]
    require_none(name, missing, f"must have the files that its {INDEX} names, lacks")
    return files


def plain_name(key: str) -> str:
    """Return a tensor's name without the prefix that only some checkpoints have."""
    return key.removeprefix("model.")


def tensors(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return the weights that a model's files must hold, by `plain_name`, and their shapes.

    A head that is tied to the embedding is none of them, nor is what transformers makes anew.
    """
    hidden, vocabulary = config["hidden_size"], config["vocab_size"]
    found = {"embed_tokens.weight": (vocabulary, hidden), "norm.weight": (hidden,)}
    for number in range(config["num_hidden_layers"]):
        layer = _layer(config).items()
        found |= {f"layers.{number}.{name}": shape for name, shape in layer}
    if not config.get("tie_word_embeddings", False):
        found["lm_head.weight"] = (vocabulary, hidden)
    return found


def draft_tensors(
    config: Mapping[str, Any], found: Mapping[str, Header]
) -> dict[str, tuple[int, ...]]:
    """Return the same of a draft in the packaged format: its head, its ids, scales of int8."""
    rows, hidden = config.get("draft_vocab_size", config["vocab_size"]), config["hidden_size"]
    wanted = tensors(config) | {"lm_head.weight": (rows, hidden)}
    del wanted["embed_tokens.weight"]
    scaled = [key for key in wanted if key in found and found[key].dtype == "I8"]
    scales = {f"{key}_scale": wanted[key][:1] for key in scaled}
    return wanted | scales | {"vocab_ids": (rows,)}


def _layer(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    kind, hidden, inner = config["model_type"], config["hidden_size"], config["intermediate_size"]
    heads, kv_heads, head_dim = heads_of(dict(config))
    products = {
        "self_attn.q_proj": (heads * head_dim, hidden),
        "self_attn.k_proj": (kv_heads * head_dim, hidden),
        "self_attn.v_proj": (kv_heads * head_dim, hidden),
        "self_attn.o_proj": (hidden, heads * head_dim),
        "mlp.gate_proj": (inner, hidden),
        "mlp.up_proj": (inner, hidden),
        "mlp.down_proj": (hidden, inner),
    }
    norms = {"input_layernorm": (hidden,), "post_attention_layernorm": (hidden,)}
    if kind == "qwen3":
        norms |= {"self_attn.q_norm": (head_dim,), "self_attn.k_norm": (head_dim,)}
    biases = [name for name in products if _has_bias(config, name)]
    return {
        **{f"{name}.weight": shape for name, shape in (products | norms).items()},
        **{f"{name}.bias": products[name][:1] for name in biases},
    }


def _has_bias(config: Mapping[str, Any], product: str) -> bool:
    kind, (module, _, projection) = config["model_type"], product.partition(".")
    if kind == "qwen2":
        return projection in ("q_proj", "k_proj", "v_proj")
    if module == "self_attn":
        return kind in ("llama", "qwen3") and bool(config.get("attention_bias"))
    return kind == "llama" and bool(config.get("mlp_bias"))


def _headers(name: str, file: Path) -> Iterator[tuple[str, Header]]:
    """Yield what a file says of each of its tensors."""
    from safetensors import SafetensorError, safe_open

    try:
        opened: Any = safe_open(file, "numpy")
        for key in opened.keys():  # noqa: SIM118 - no mapping
            part = opened.get_slice(key)
            yield key, Header(tuple(part.get_shape()), part.get_dtype())
    except (SafetensorError, OSError) as error:
        right = f"must have whole safetensors files, {file.name} is damaged or cut short"
        raise ConfigError(f"model={name!r}: {right} ({first_line(error)})") from error


def _readable(key: str, found: Mapping[str, Header], draft: bool) -> bool:
    if draft and key == "vocab_ids":
        return found[key].dtype in WHOLE_NUMBERS
    return found[key].dtype in FLOATS or (draft and found[key].dtype == "I8")


def require_none(name: str, wrong: list[str], right: str) -> None:
    """Refuse a model of which something is wrong, naming the first few."""
    more = ", ..." if len(wrong) > FEW else ""
    require(not wrong, "model", name, f"{right} {len(wrong)}: {', '.join(wrong[:FEW])}{more}")
