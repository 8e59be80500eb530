"""Models of which there is only a shape: what they are, and their random weights."""

import json

import pytest
import shapes
import torch
from transformers import AutoModelForCausalLM

from ssdreal.models import catalog
from ssdreal.models.configs import read_config
from ssdreal.models.names import NAMES
from ssdreal.models.pass_request import chain_mask
from ssdreal.models.random_weights import random_weights, shape_file, transformers_config
from ssdreal.workers import loading
from ssdsim.errors import ConfigError
from ssdsim.latency.shapes import read_shape
from ssdsim.system.package_data import CONF

torch.set_num_threads(1)

DENSE = ("llama31_70b", "llama31_8b", "llama32_1b", "qwen3_0.6b", "qwen3_32b", "vicuna_7b")


def logits(model):
    at = torch.arange(24)[None]
    tokens = at * 7 % model.vocabulary
    return model.forward(model.cache(1, 24), tokens, at, at, chain_mask(at, 24), 24)


def weights(path):
    config = transformers_config(read_config(path))
    return random_weights(config, torch.float32, "cpu")


def test_names_mean_shapes_unless_there_are_weights(tmp_path):
    assert all(shape_file(name) for name in DENSE)
    assert not any(shape_file(name) for name in NAMES)
    path = shapes.write(tmp_path, "config")
    assert shape_file(path)
    assert not shape_file(str(tmp_path))  # the folder would have the weights, too
    assert not shape_file("nosuch.json")


@pytest.mark.parametrize("name", DENSE)
def test_the_architecture_is_its_namesake_s(name):
    """All that transformers would allocate is what the simulator's shape counts."""
    shape, described = read_shape(name), catalog.describe(name)
    config = transformers_config(read_config(name))
    with torch.device("meta"):
        whole = AutoModelForCausalLM.from_config(config).state_dict()
    count = sum(weight.numel() for weight in whole.values()) - shape.tied * shape.embedding
    assert count == pytest.approx(shape.parameters, rel=1e-4)
    assert (described.vocabulary, described.layers) == (shape.vocab, shape.layers)
    assert (described.kv_heads, described.head_dim) == (shape.kv_heads, shape.head_dim)
    twice = shape.tied * shape.embedding  # a bound: a tied head takes no memory of its own
    assert described.device_bytes == pytest.approx(2 * (shape.parameters + twice), rel=1e-3)


def test_weights_are_the_same_every_time(tmp_path):
    path = shapes.write(tmp_path, "shape")
    first, again = weights(path), weights(path)
    key, other = ("layers.0.self_attn.q_proj.weight", "layers.1.self_attn.q_proj.weight")
    assert torch.equal(first(key), again(key))
    assert not torch.equal(first(key), first(other))
    assert first("layers.0.self_attn.q_proj.bias") is None
    assert first("norm.weight").unique().tolist() == [1.0]
    found, same = (logits(loading.load(path)) for _ in range(2))
    assert torch.equal(found, same)


def test_a_tied_head_is_the_embedding(tmp_path):
    tied = weights(shapes.write(tmp_path, "tied", tie_word_embeddings=True))
    assert tied("lm_head.weight") is tied("embed_tokens.weight")
    own = weights(shapes.write(tmp_path, "own"))
    assert own("lm_head.weight").shape == own("embed_tokens.weight").shape
    assert not torch.equal(own("lm_head.weight"), own("embed_tokens.weight"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["llama31_8b", "qwen3_32b"])
def test_logits_are_finite_at_every_depth(name, tmp_path):
    """All layers of the real thing, at a thirty-second of its width, in bfloat16."""
    config = json.loads((CONF / "shape" / f"{name}.json").read_text())
    narrow = {key: config[key] // 32 for key in ("hidden_size", "intermediate_size")}
    path = tmp_path / "narrow.json"
    path.write_text(json.dumps(config | narrow | {"head_dim": 8, "vocab_size": 500}))
    model = loading.load(str(path))
    assert len(model.layers) == config["num_hidden_layers"]
    found = logits(model)
    assert found.isfinite().all()
    assert found.std() == pytest.approx(1.0, abs=0.1)
    assert len(found[0].argmax(-1).unique()) > 1


def test_biases_and_norms_of_heads_are_there_where_the_kind_has_them(tmp_path):
    qwen2 = loading.load(shapes.write(tmp_path, "qwen2", model_type="qwen2"))
    assert qwen2.layers[0].inward_bias is not None
    qwen3 = loading.load(shapes.write(tmp_path, "qwen3", model_type="qwen3"))
    assert qwen3.layers[0].query_norm is not None
    assert all(logits(model).isfinite().all() for model in (qwen2, qwen3))


def test_a_gpu_without_room_is_named_before_any_weight_is_drawn(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (80 << 30, 81 << 30))
    right = "model='llama31_70b': needs about 134568 MB of cuda:0, 81920 MB are free there"
    with pytest.raises(ConfigError, match=right):
        loading.load("llama31_70b", device="cuda:0")


def test_a_config_says_what_is_needed(tmp_path):
    path = shapes.write(tmp_path, "short")
    (tmp_path / "short.json").write_text(json.dumps({"model_type": "llama", "hidden_size": 32}))
    with pytest.raises(ConfigError, match=r"must say in its config\.json: intermediate_size"):
        catalog.describe(path)
