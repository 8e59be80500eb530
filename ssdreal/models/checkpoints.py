"""Reads a model's weights by tensor name, from a package, a folder or the Hub."""

from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

from ssdreal.models.catalog import describe
from ssdreal.models.configs import read_config
from ssdreal.models.draft_format import check_ids, is_draft, read_draft
from ssdreal.models.folders import find_folder, first_line
from ssdreal.models.gguf_weights import weights_folder
from ssdreal.models.names import TINY
from ssdreal.models.tensors import (
    LACKS,
    check_weights,
    plain_name,
    require_none,
    tensors,
    weight_files,
)
from ssdsim.errors import ConfigError, require

if TYPE_CHECKING:
    from torch import Tensor


def huggingface(name: str, dtype: str) -> Any:
    """Return the same model as transformers runs it.

    Raises
    ------
    ConfigError
        It is a draft without an embedding of its own, or its weights cannot be read, or not all
        are there.

    """
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM
    from transformers.utils.logging import disable_progress_bar

    describe(name, dtype)
    disable_progress_bar()  # type: ignore[no-untyped-call]
    if name in TINY:
        from ssdreal.models.tiny import tiny_weights

        tiny = LlamaForCausalLM(LlamaConfig(**read_config(name)))
        tiny.load_state_dict(tiny_weights(name))
        return tiny.to(getattr(torch, dtype)).train(False)
    require(
        not is_draft(read_config(name)), "model", name, "has no embedding of its own to run with"
    )
    folder = weights_folder(name)
    check_weights(name, folder)
    loaded: Any
    try:
        loaded = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=getattr(torch, dtype),
            output_loading_info=True,
            trust_remote_code=False,
        )
    except (OSError, ValueError, RuntimeError, KeyError, EOFError, UnpicklingError) as error:
        reason = first_line(error) or type(error).__name__
        raise ConfigError(f"model={name!r}: {reason}") from error
    model, found = loaded  # transformers' types know of no loading info
    require_none(name, sorted(found["missing_keys"]), LACKS)
    return model.train(False)


def stored(
    name: str, dtype: str, target: str | None
) -> "tuple[Any, dict[str, Tensor], Tensor | None]":
    """Return the transformers config, weights by name, and the ids of the head's rows."""
    if is_draft(config := read_config(name)):
        require(target is not None, "model", name, "needs the target whose embedding it shares")
        return _stored_draft(name, config, str(target), dtype)
    whole = huggingface(name, dtype)
    weights, ids = whole.state_dict(), None
    if name in TINY:
        from ssdreal.models.tiny import tiny_ids

        ids = tiny_ids(name)
        weights["lm_head.weight"] = weights["lm_head.weight"][slice(None) if ids is None else ids]
    return whole.config, weights, ids


def sliced(name: str, dtype: str) -> "tuple[Any, dict[str, Any], None]":
    """Return what `stored` does, of files that can be read in part without reading more."""
    from transformers import AutoConfig

    require(not is_draft(read_config(name)), "model", name, "has no embedding of its own to shard")
    files = [] if name in TINY else weight_files(name, weights_folder(name))
    if not files:
        return *stored(name, dtype, None)[:2], None
    check_weights(name, weights_folder(name))
    there = {plain_name(key): part for file in files for key, part in _slices(file)}
    config = AutoConfig.from_pretrained(weights_folder(name))
    slices = {key: there[key] for key in tensors(read_config(name))}  # others have no part in it
    slices.setdefault("lm_head.weight", slices["embed_tokens.weight"])  # where it is tied
    return config, slices, None


def _slices(file: Path) -> "list[tuple[str, Any]]":
    from safetensors import safe_open

    tensors: Any = safe_open(file, "pt")
    return [(key, tensors.get_slice(key)) for key in tensors.keys()]  # noqa: SIM118 - no mapping


def _stored_draft(
    name: str, config: dict[str, Any], target: str, dtype: str
) -> "tuple[Any, dict[str, Tensor], Tensor]":
    from transformers import LlamaConfig

    check_weights(name, find_folder(name))
    weights, ids = read_draft(find_folder(name))
    check_ids(name, ids, config["vocab_size"])
    embedding = _embedding(target, dtype)
    wanted = (config["vocab_size"], config["hidden_size"])
    right = f"must share the embedding of {target}, of shape {wanted}"
    require(tuple(embedding.shape) == wanted, "model", name, right)
    weights["embed_tokens.weight"] = embedding
    return LlamaConfig(**config), weights, ids


def _embedding(target: str, dtype: str) -> "Tensor":
    """Return a model's input embedding, reading no other weight where its files allow that."""
    if target in TINY:
        from ssdreal.models.tiny import tiny_weights

        return tiny_weights(target)["model.embed_tokens.weight"]
    folder = weights_folder(target)
    check_weights(target, folder)
    for file in weight_files(target, folder):
        for key, part in _slices(file):
            if plain_name(key) == "embed_tokens.weight":
                embedding: Tensor = part[:]
                return embedding
    shared: Tensor = huggingface(target, dtype).get_input_embeddings().weight.detach()
    return shared
