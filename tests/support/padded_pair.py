"""The tiny pair in folders of its own, its tables padded to any length, with tokenizers."""

import json

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from ssdreal.models.tiny import VOCABULARY, tiny_config, tiny_weights

LOUD = 9.0  # what pads a head would nearly always be sampled, were it not left out
WORDS = [f"word{at}" for at in range(VOCABULARY)]


def write(folder, name, rows, words=WORDS):
    """Write a tiny model whose tables have so many rows; return its folder's name."""
    folder.mkdir(parents=True)
    weights = {key: weight.clone() for key, weight in tiny_weights(name).items()}
    generator = torch.Generator().manual_seed(rows)
    for key in ("model.embed_tokens.weight", "lm_head.weight"):
        more = torch.randn(rows - VOCABULARY, weights[key].shape[1], generator=generator)
        weights[key] = torch.cat((weights[key], LOUD * more))
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    config = tiny_config(name) | {"vocab_size": rows, "architectures": ["LlamaForCausalLM"]}
    (folder / "config.json").write_text(json.dumps(config))
    if words:
        vocabulary = {word: at for at, word in enumerate(words)}
        Tokenizer(WordLevel(vocabulary, unk_token=words[0])).save(str(folder / "tokenizer.json"))
    return str(folder)
