"""Shapes of models: presets, and how they are counted from a config."""

import json

import pytest

from ssdsim.errors import ConfigError
from ssdsim.latency.presets import CONF, read_device
from ssdsim.latency.roofline import Roofline
from ssdsim.latency.shapes import read_shape

SMOL = Roofline("smollm2_135m", "cpu_core")


@pytest.mark.parametrize(
    ("name", "billions", "cached"),
    [
        ("llama31_70b", 70.554, 163840),
        ("llama31_8b", 8.030, 65536),
        ("llama32_1b", 1.236, 16384),
        ("qwen3_32b", 32.762, 131072),
        ("qwen3_0.6b", 0.596, 57344),
        ("mixtral_8x7b", 46.703, 65536),
        ("vicuna_7b", 6.738, 262144),
        ("vicuna_7b_eagle", 0.4645, 8192),
        ("smollm2_135m", 0.1345, 11520),
        ("smollm2_135m_draft", 0.02596, 2304),
    ],
)
def test_presets_have_the_published_parameter_counts(name, billions, cached):
    shape = read_shape(name)
    assert shape.parameters / 1e9 == pytest.approx(billions, rel=1e-3)
    assert shape.cached == cached


def test_every_preset_of_a_shape_is_tested_above_and_every_device_can_run_one():
    assert len(list((CONF / "shape").iterdir())) == 10
    for path in (CONF / "device").iterdir():
        assert Roofline("llama32_1b", path.stem).seconds("step", 1, 1, 100) > 0


def test_smollm_weights_are_the_measured_file_and_floor():
    assert read_shape("smollm2_135m").parameters * 2 == pytest.approx(269e6, rel=1e-3)
    assert SMOL.memory_seconds(1, 0) == pytest.approx(6.6e-3, rel=0.01)


def test_a_shape_is_counted_by_hand_from_a_config(tmp_path):
    config = {
        "hidden_size": 8,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 16,
        "vocab_size": 100,
    }
    (tmp_path / "config.json").write_text(json.dumps({**config, "head_dim": None}))
    shape = read_shape(str(tmp_path))
    assert (shape.kv_heads, shape.head_dim, shape.tied) == (4, 2, False)
    assert shape.multiplied == 2 * (4 * 8 * 8 + 3 * 8 * 16) + 800
    assert shape.parameters == shape.multiplied + 5 * 8 + 800
    assert read_shape(str(tmp_path / "config.json")) == shape


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vocab_size": None}, "config.json: vocab_size=None: must be a positive"),
        ({"hidden_size": "wide"}, "config.json: hidden_size='wide'"),
        ({"num_hidden_layers": 0}, "config.json: num_hidden_layers=0"),
        ({"n_routed_experts": 64}, "config.json: n_routed_experts=64: must be a dense model"),
        ({"num_experts": 128}, "config.json: num_experts_per_tok=None"),
        (
            {"num_experts": 8, "num_experts_per_tok": 9},
            "config.json: num_experts_per_tok=9: must be at most the 8 experts",
        ),
    ],
)
def test_a_malformed_config_is_named(tmp_path, change, message):
    config = json.loads((CONF / "shape" / "qwen3_0.6b.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(ConfigError, match=message):
        read_shape(str(tmp_path))


@pytest.mark.parametrize("text", ["", "[1]", "{"])
def test_a_file_that_is_no_config_is_refused(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ConfigError, match=r"config\.json.*must"):
        read_shape(str(tmp_path))
    with pytest.raises(ConfigError, match=r"config\.json"):
        read_device(str(tmp_path / "config.json"))
