"""A pair of shapes without weights, small enough for any test."""

import json

from ssdreal.models.catalog import load

SMALL = {
    "model_type": "llama",
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "intermediate_size": 64,
    "vocab_size": 96,
    "tie_word_embeddings": False,
    "max_position_embeddings": 1024,
}


def write(folder, name, **fields):
    """Write a shape, and return its path."""
    path = folder / f"{name}.json"
    path.write_text(json.dumps(SMALL | fields))
    return str(path)


def pair(folder):
    """Return the paths of a target and of a draft of one layer."""
    draft = write(folder, "draft", num_hidden_layers=1, tie_word_embeddings=True)
    return write(folder, "target"), draft


def loaded(folder):
    """Return both models."""
    return [load(name, "float32") for name in pair(folder)]
