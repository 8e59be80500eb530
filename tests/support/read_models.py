"""Models of every kind, and their logits of whole texts."""

from copy import deepcopy
from functools import cache

import pytest
import torch

from ssdreal.models import tokenizers
from ssdreal.models.model import Model
from ssdreal.models.pass_request import chain_mask
from ssdreal.workers import loading

torch.set_num_threads(1)

EVERY = pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("tiny_target", "float32"),
        ("tiny_target", "bfloat16"),
        ("smollm2_135m", "float32"),
        ("smollm2_135m", "bfloat16"),
    ],
)
SHAPE = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 256,
}
SCALED = {
    "rope_type": "llama3",
    "rope_theta": 1000.0,
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
YARN = {
    "rope_type": "yarn",
    "rope_theta": 1000.0,
    "factor": 4.0,
    "original_max_position_embeddings": 64,
}
KINDS = {
    "llama": {"model_type": "llama", "attention_bias": True, "mlp_bias": True},
    "llama3": {"model_type": "llama", "rope_parameters": SCALED, "tie_word_embeddings": True},
    "yarn": {"model_type": "llama", "rope_parameters": YARN, "num_key_value_heads": 4},
    "mistral": {"model_type": "mistral", "sliding_window": None, "num_key_value_heads": 1},
    "qwen2": {"model_type": "qwen2", "head_dim": 8},
    "qwen3": {"model_type": "qwen3", "tie_word_embeddings": True, "attention_bias": True},
}


@cache
def load(name: str, dtype: str) -> Model:
    return loading.load(name, dtype, target="smollm2_135m")


@cache
def shallow(name: str, dtype: str) -> Model:
    """Return the first layers of a model: what holds of its shapes shows in a few of them."""
    stored = loading.stored

    def first_layers(*arguments):
        config, weights, ids = stored(*arguments)
        config = deepcopy(config)
        config.num_hidden_layers = min(3, config.num_hidden_layers)
        return config, weights, ids

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "stored", first_layers)
        return loading.load(name, dtype, target="smollm2_135m")


@cache
def text(length: int = 48) -> torch.Tensor:
    story = "The miller's daughter counted the sacks twice, wrote the sum on the door, and left. "
    return torch.tensor([tokenizers.tokenizer("smollm2_135m").encode(story * 5)[:length]])


def tokens_for(model: Model, length: int) -> torch.Tensor:
    return text(48)[:, :length] % model.vocabulary


def read(model: Model, tokens: torch.Tensor) -> torch.Tensor:
    """Logits of whole texts, each read in one pass."""
    slots, length = tokens.shape
    at = torch.arange(length).expand(slots, -1)
    cache = model.cache(slots, length)
    return model.forward(cache, tokens, at, at, chain_mask(at, length), length)
