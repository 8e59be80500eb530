"""Models by name: what is known of them without their weights, and loading."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssdreal.models.configs import (
    NAMES,
    TINY,
    check_divides,
    context_of,
    heads_of,
    parameters_of,
    read_config,
    undivided,
)
from ssdreal.models.converted import converted_folder
from ssdreal.models.draft_format import is_draft, read_draft
from ssdreal.models.folders import CONFIGS, find_folder, read_json
from ssdreal.models.shapes import random_weights, shape_file, transformers_config
from ssdsim.errors import ConfigError, require

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ssdreal.models.model import Model
    from ssdreal.models.shares import Share

BYTES = {"bfloat16": 2, "float32": 4}
LAYOUTS = {"bfloat16": 2, "float32": 1}  # of a product's weight on a CPU
MANY_BYTES = 1 << 24  # more than a core keeps close by: reading them again takes memory's time


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


def describe(name: str, dtype: str = "bfloat16", ranks: int = 1) -> Description:
    """Return what is known of a model, sharded over so many ranks, from its config alone.

    Raises
    ------
    ConfigError
        There is no such model, or it is of a kind that `load` cannot build, or cannot be sharded.

    """
    require(dtype in BYTES, "dtype", dtype, f"must be one of {', '.join(BYTES)}")
    config = read_config(name)
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


def shards(name: str, ranks: int) -> bool:
    """Return whether a model can be sharded over so many ranks.

    Raises
    ------
    ConfigError
        There is no such model.

    """
    return not undivided(read_config(name), ranks)


def load(
    name: str,
    dtype: str = "bfloat16",
    device: str = "cpu",
    target: str | None = None,
    share: "Share | None" = None,
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

    Raises
    ------
    ConfigError
        Model, type or device cannot be had.

    """
    import torch

    from ssdreal.models.memory import use_huge_pages
    from ssdreal.models.model import Model

    described = describe(name, dtype, share.ranks if share else 1)
    _check_device(device)
    if shape_file(name):
        _check_room(described, device)
        config, ids = transformers_config(read_config(name)), None
        weight = _cut(random_weights(config, getattr(torch, dtype), device), share)
    else:
        whole = share is None
        config, stored, ids = _stored(name, dtype, target) if whole else _sliced(name, dtype)
        weight = _placed(stored, getattr(torch, dtype), device, share)
    rotation = _rotation(config, described.context).to(device)
    model: Model
    if share is None:
        model = Model(config, weight, rotation, None if ids is None else ids.to(device))
    else:
        from ssdreal.models.sharded import ShardedModel

        model = ShardedModel(config, weight, rotation, share)
    if described.bytes > MANY_BYTES:
        use_huge_pages()
    return model


def huggingface(name: str, dtype: str) -> Any:
    """Return the same model as transformers runs it.

    Raises
    ------
    ConfigError
        It is a draft without an embedding of its own, or its weights cannot be read.

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
    folder = _folder(name)
    model: Any
    try:
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype))
    except (OSError, ValueError, RuntimeError) as error:
        raise ConfigError(f"model={name!r}: {_first_line(error)}") from error
    return model.train(False)


@cache
def tokenizer(name: str) -> Any:
    """Return a target's tokenizer, which the draft of a pair shares.

    Raises
    ------
    ConfigError
        The model has none.

    """
    if name in TINY:
        from ssdreal.models.tiny import TinyTokenizer

        return TinyTokenizer()
    if name == "smollm2_135m":
        from ssdreal.models.coder import Coder

        return Coder(_folder(name))
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(_folder(name))
    except (OSError, ValueError) as error:
        raise ConfigError(f"model={name!r}: must have a tokenizer: {_first_line(error)}") from error


def end_ids(name: str) -> set[int]:
    """Return the tokens that end a text; there may be none."""
    settings = read_config(name)
    if name not in NAMES:
        path = find_folder(name, CONFIGS) / "generation_config.json"
        settings |= read_json(path) if path.is_file() else {}
    end = settings.get("eos_token_id")
    return set(end if isinstance(end, list) else [] if end is None else [end])


def encode_prompt(name: str, text: str) -> list[int]:
    """Return the tokens of a user's turn and the start of the answer; of the text, without chat."""
    coder = tokenizer(name)
    if not coder.chat_template:
        return list(coder.encode(text))
    turn = [{"role": "user", "content": text}]
    tokens = coder.apply_chat_template(turn, add_generation_prompt=True, return_dict=False)
    return list(tokens)


def _cut(
    weights: "Callable[[str], Tensor | None]", share: "Share | None"
) -> "Callable[[str], Tensor | None]":
    """Return what gives a share's part of weights that are made whole."""
    if share is None:
        return weights

    def weight(key: str) -> "Tensor | None":
        found = weights(key)
        return None if found is None else share.cut(key, found)

    return weight


def _placed(
    stored: "dict[str, Any]", dtype: "torch.dtype", device: str, share: "Share | None"
) -> "Callable[[str], Tensor | None]":
    """Return what gives weights by name as a model wants them, cut before they are moved."""

    def weight(key: str) -> "Tensor | None":
        found = stored.get(key, stored.get(f"model.{key}"))
        if found is not None and share is not None:
            found = share.cut(key, found)
        return None if found is None else found.to(device=device, dtype=dtype)

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


def _folder(name: str) -> Path:
    return converted_folder() if name == "smollm2_135m" else find_folder(name)


def _stored(
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


def _sliced(name: str, dtype: str) -> "tuple[Any, dict[str, Any], None]":
    """Return what `_stored` does, of files that can be read in part without reading more."""
    from transformers import AutoConfig

    require(not is_draft(read_config(name)), "model", name, "has no embedding of its own to shard")
    files = [] if name in TINY else sorted(_folder(name).glob("*.safetensors"))
    if not files:
        return *_stored(name, dtype, None)[:2], None
    slices = {key: part for file in files for key, part in _slices(file)}
    if "lm_head.weight" not in slices:  # it is tied
        slices["lm_head.weight"] = slices["model.embed_tokens.weight"]
    return AutoConfig.from_pretrained(_folder(name)), slices, None


def _slices(file: Path) -> "list[tuple[str, Any]]":
    from safetensors import safe_open

    tensors: Any = safe_open(file, "pt")
    return [(key, tensors.get_slice(key)) for key in tensors.keys()]  # noqa: SIM118 - no mapping


def _stored_draft(
    name: str, config: dict[str, Any], target: str, dtype: str
) -> "tuple[Any, dict[str, Tensor], Tensor]":
    from transformers import LlamaConfig

    weights, ids = read_draft(find_folder(name))
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
    from safetensors import safe_open

    folder, key = _folder(target), "model.embed_tokens.weight"
    index = folder / "model.safetensors.index.json"
    file = read_json(index)["weight_map"][key] if index.is_file() else "model.safetensors"
    if not (folder / file).is_file():
        weights: dict[str, Tensor] = huggingface(target, dtype).state_dict()
        return weights[key]
    with safe_open(folder / file, "pt") as tensors:
        embedding: Tensor = tensors.get_tensor(key)
        return embedding


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
        raise ConfigError(f"device={device!r}: {_first_line(error)}") from error
    there = kind == "cpu" or (kind == "cuda" and torch.cuda.is_available())
    require(there, "device", device, "must be cpu, or cuda where there is a GPU")


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
