"""Writes a draft of this project's format as GGUF, to serve beside its target's own GGUF file.

A draft here has no embedding and a head over a part of the vocabulary. Its GGUF gets the target's
embedding as it is stored there, all of the tokenizer, and a head over all tokens: the rows of those
that the draft cannot say are the mean of the rows that it can. Their logit is then the mean of the
others, which is never the greatest, so that the draft's first choice is always a token of its own.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ssdreal.models.configs import read_config
from ssdreal.models.draft_format import check_ids, is_draft, read_draft
from ssdreal.models.folders import find_folder
from ssdsim.errors import ConfigError, require
from ssdsim.system.atomic_files import replacing

if TYPE_CHECKING:
    from gguf import GGUFReader, GGUFWriter, ReaderTensor

Matrix = NDArray[np.float32]

NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
EMBEDDING = "token_embd.weight"
WRITER_ADDS = ("general.architecture", "GGUF.")


def write_gguf(draft: str, target: Path, out: Path) -> None:
    """Write a draft to a GGUF file, matrices as Q8_0, the rest in float32.

    Parameters
    ----------
    draft
        Name or folder of a draft in this project's format.
    target
        The GGUF file of the target whose embedding the draft shares.
    out
        Written whole or not at all.

    Raises
    ------
    ConfigError
        It is another kind of model, or does not fit the target, or that is no GGUF file.

    """
    from gguf import GGUFWriter

    config = read_config(draft)
    require(is_draft(config), "draft", draft, "must be a draft without an embedding of its own")
    require(config["model_type"] == "llama", "draft", draft, "must be of model_type llama")
    reader = _reader(target)
    embedding = _embedding(reader, draft, (config["hidden_size"], config["vocab_size"]))
    with replacing(out.parent) as partial:
        writer = GGUFWriter(partial(out.name), "llama")
        copy_fields(reader, writer, **_own(config))
        writer.add_tensor(EMBEDDING, embedding.data, raw_dtype=embedding.tensor_type)
        for name, values in _tensors(draft, config):
            _add(writer, name, values)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


def _reader(target: Path) -> "GGUFReader":
    from gguf import GGUFReader

    try:
        return GGUFReader(target)
    except (OSError, ValueError) as error:
        raise ConfigError(f"target={target}: must be a GGUF file: {error}") from error


def _embedding(reader: "GGUFReader", draft: str, shape: tuple[int, int]) -> "ReaderTensor":
    """Return the target's embedding, of this width and number of tokens."""
    found = next((tensor for tensor in reader.tensors if tensor.name == EMBEDDING), None)
    right = f"must share an embedding of shape {shape}, which this target does not have"
    if found is None or tuple(found.shape.tolist()) != shape:
        raise ConfigError(f"draft={draft!r}: {right}")
    return found


def _own(config: dict[str, Any]) -> dict[str, Any]:
    from gguf import LlamaFileType

    kind = int(LlamaFileType.MOSTLY_Q8_0)
    return {"llama.block_count": config["num_hidden_layers"], "general.file_type": kind}


def copy_fields(reader: "GGUFReader", writer: "GGUFWriter", **other: Any) -> None:
    """Copy all that a file says of shape and tokenizer, but for the fields with `other` values."""
    from gguf import GGUFValueType

    for name, field in reader.fields.items():
        if not name.startswith(WRITER_ADDS):
            of = field.types[-1] if field.types[0] == GGUFValueType.ARRAY else None
            value = other.get(name, field.contents())
            writer.add_key_value(name, value, field.types[0], sub_type=of)


def _tensors(draft: str, config: dict[str, Any]) -> Iterator[tuple[str, Matrix]]:
    """Yield a draft's tensors under the names, and in the order of rows, that GGUF has."""
    weights, ids = read_draft(find_folder(draft))
    check_ids(draft, ids, config["vocab_size"])
    heads = {"q_proj": config["num_attention_heads"], "k_proj": config["num_key_value_heads"]}
    for name, weight in weights.items():
        values: Matrix = weight.numpy()
        if name == "lm_head.weight":
            yield "output.weight", whole_head(values, ids.numpy(), config["vocab_size"])
        elif name == "norm.weight":
            yield "output_norm.weight", values
        else:
            _, layer, part = name.removesuffix(".weight").split(".", 2)
            rotary = heads.get(part.rpartition(".")[2])
            yield f"blk.{layer}.{NAMES[part]}.weight", paired(values, rotary) if rotary else values


def whole_head(rows: Matrix, ids: NDArray[np.int64], vocabulary: int) -> Matrix:
    """Return a head over all tokens: the mean row for those that the draft cannot say.

    Parameters
    ----------
    rows, ids
        The draft's rows [n, width] and the tokens they stand for [n].
    vocabulary
        All tokens.

    """
    whole = np.tile(rows.mean(axis=0), (vocabulary, 1))
    whole[ids] = rows
    return whole


def paired(weight: Matrix, heads: int) -> Matrix:
    """Return rows so that a head's rotated pairs are neighbours, not halves of it.

    transformers rotates row i of a head with row i + width / 2, llama.cpp with row i + 1.
    """
    halves = weight.reshape(heads, 2, -1, weight.shape[1])
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(weight.shape))


def _add(writer: "GGUFWriter", name: str, values: Matrix) -> None:
    from gguf import GGMLQuantizationType, quants

    if values.ndim == 1:
        writer.add_tensor(name, values)
    else:
        kind = GGMLQuantizationType.Q8_0
        writer.add_tensor(name, quants.quantize(values, kind), raw_dtype=kind)
