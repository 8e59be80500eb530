"""A pair of tiny models with random weights, small enough to enumerate all outputs in tests."""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor

VOCABULARY = 64
TRIMMED = 48
END = 0
SEED = 20
SHARPNESS = 0.7  # scale of the head: the target's entropy at temperature 1 is 1 to 2 nats
SECOND_LAYER = 0.5  # weight of what the draft lacks
NOISE = 0.05  # of the draft's weights, relative to theirs
LAYERS = {"tiny_target": 2, "tiny_draft": 1, "tiny_trimmed_draft": 1}


class TinyTokenizer:
    """Bytes modulo the vocabulary; `decode` gives one character an id, which `encode` undoes."""

    chat_template = None

    def encode(self, text: str) -> list[int]:
        """Return a token a byte."""
        return [byte % VOCABULARY for byte in text.encode()]

    def decode(self, ids: Sequence[int]) -> str:
        """Return a character a token."""
        return "".join(chr(VOCABULARY + token) for token in ids)


def tiny_config(name: str) -> dict[str, Any]:
    """Return the config of a tiny model, as in a `config.json`."""
    return {
        "model_type": "llama",
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": LAYERS[name],
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 1024,
        "tie_word_embeddings": False,
        "eos_token_id": END,
    }


def tiny_ids(name: str) -> "Tensor | None":
    """Return the ids that a trimmed head covers, ascending; None for all of them."""
    import torch

    if name != "tiny_trimmed_draft":
        return None
    order = torch.randperm(VOCABULARY, generator=torch.Generator().manual_seed(SEED))
    return order[:TRIMMED].sort().values


@cache
def tiny_weights(name: str) -> "dict[str, Tensor]":
    """Return float32 weights by their names in a Hugging Face checkpoint, the whole head.

    The draft is the target's first layer, embedding and head, each with a little noise.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    generator = torch.Generator().manual_seed(SEED)
    full = {}
    with torch.device("meta"):
        shapes = LlamaForCausalLM(LlamaConfig(**tiny_config("tiny_target"))).state_dict()
    for key in sorted(shapes):
        full[key] = _drawn(key, shapes[key].shape, generator)
    if name == "tiny_target":
        return full
    shared = {key: weight for key, weight in full.items() if ".layers.1." not in key}
    return {key: _noisy(key, weight, generator) for key, weight in shared.items()}


def _drawn(key: str, shape: "torch.Size", generator: "torch.Generator") -> "Tensor":
    """Return a weight that keeps its input's size, as far as sizes are not set above."""
    import torch

    weight = torch.randn(shape, generator=generator)
    if key.endswith("norm.weight"):
        return 1 + 0.1 * weight
    if "embed_tokens" in key:
        return weight
    scale = SHARPNESS if "lm_head" in key else shape[-1] ** -0.5
    late = "layers.1." in key and ("o_proj" in key or "down_proj" in key)
    return weight * scale * (SECOND_LAYER if late else 1.0)


def _noisy(key: str, weight: "Tensor", generator: "torch.Generator") -> "Tensor":
    import torch

    if key.endswith("norm.weight"):
        return weight
    noise = torch.randn(weight.shape, generator=generator) * weight.std()
    return weight + NOISE * noise
