"""Writes a draft to disk: int8 matrices with a scale a row, the rest bfloat16, no embedding."""

import json
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

SCALE = "_scale"
LEFT_OUT = (  # what transformers adds that says nothing about a draft
    "_model_name_or_path",
    "_name_or_path",
    "architectures",
    "chunk_size_feed_forward",
    "id2label",
    "is_encoder_decoder",
    "label2id",
    "output_attentions",
    "output_hidden_states",
    "problem_type",
    "quantization_config",
    "return_dict",
    "transformers_version",
)


def quantized(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return int8 [out, in] and a float32 scale [out]; weight is near to int8 * scale[:, None]."""
    scale = weight.float().abs().amax(1).clamp_min(1e-12) / 127
    return (weight.float() / scale[:, None]).round().to(torch.int8), scale


def packed(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Quantize every matrix; keep vectors as bfloat16."""
    found: dict[str, Tensor] = {}
    for name, weight in weights.items():
        if weight.dim() == 2:
            found[name], found[name + SCALE] = quantized(weight.detach().cpu())
        else:
            found[name] = weight.detach().cpu().to(torch.bfloat16)
    return {name: weight.contiguous() for name, weight in found.items()}


def draft_config(target: Any, layers: int, vocabulary: int) -> dict[str, Any]:
    """Return the draft's config.json: the target's, with fewer layers and a smaller head."""
    config = {k: v for k, v in target.config.to_dict().items() if k not in LEFT_OUT}
    return config | {
        "num_hidden_layers": layers,
        "tie_word_embeddings": False,
        "draft_vocab_size": vocabulary,
        "embedding": "target",
    }


def write_draft(
    folder: Path, config: dict[str, Any], weights: dict[str, Tensor], vocab_ids: Tensor
) -> int:
    """Write config.json and model.safetensors, each at once; return the bytes of the weights."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f"model.{os.getpid()}.writing"
    save_file(packed(weights) | {"vocab_ids": vocab_ids.cpu().int()}, unfinished)
    unfinished.chmod(0o644)  # safetensors makes files private
    size = unfinished.stat().st_size
    unfinished.replace(folder / "model.safetensors")
    write_atomically(folder / "config.json", json.dumps(config, indent=2, sort_keys=True) + "\n")
    return size


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that no reader ever sees half of it."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.writing")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)
