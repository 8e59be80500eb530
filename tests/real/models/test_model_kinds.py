"""What cannot be decoded with drafts is refused by its config alone, in one line."""

import json

import pytest
from transformers import AutoConfig

from ssdreal.executor.pair import Pair
from ssdreal.executor.preflight import check_pair
from ssdreal.models.catalog import describe, shards
from ssdreal.models.kinds import recurrent_state
from ssdreal.models.tiny import tiny_config
from ssdsim.errors import ConfigError

STATEFUL = [
    "mamba", "mamba2", "falcon_mamba", "rwkv", "xlstm", "jamba", "zamba", "zamba2", "bamba",
    "falcon_h1", "recurrent_gemma", "qwen3_next", "lfm2_moe", "nemotron_h", "minimax",
]  # fmt: skip
STATELESS = ["llama", "mistral", "qwen2", "qwen3", "gemma2", "phi3", "glm4", "gpt_neox", "mixtral"]


def line(call, *arguments):
    with pytest.raises(ConfigError) as caught:
        call(*arguments)
    text = str(caught.value)
    assert "\n" not in text
    return text


def written(folder, config):
    (folder / "config.json").write_text(json.dumps(config))
    return str(folder)


@pytest.mark.parametrize("kind", STATEFUL)
def test_a_state_that_does_not_rewind_is_refused_by_name(kind, tmp_path):
    name = written(tmp_path, AutoConfig.for_model(kind).to_dict())
    right = f"pair.target={name!r}: model_type={kind!r}: must have attention alone: a recurrent"
    assert line(check_pair, Pair(name, name), "float32").startswith(right)


@pytest.mark.parametrize("kind", STATELESS)
def test_attention_alone_has_no_such_state(kind):
    assert recurrent_state(AutoConfig.for_model(kind).to_dict()) == ""


SAID = {  # as files have it that say less than transformers' own
    "linear_conv_kernel_dim": {"model_type": "qwen3_next", "linear_conv_kernel_dim": 4},
    "rwkv7": {"model_type": "rwkv7"},
    "mamba": {"model_type": "granitemoehybrid", "layer_types": ["attention", "mamba"]},
    "linear_attention": {"text_config": {"layer_types": ["full_attention", "linear_attention"]}},
    "": {"model_type": "granitemoehybrid", "layer_types": ["attention"], "mamba_d_state": 256},
}


@pytest.mark.parametrize("state", SAID)
def test_whatever_a_config_says_of_it_counts(state):
    assert recurrent_state(SAID[state]) == state


WRONG = {
    "no such type": ({"model_type": "gemma99"}, "must run by transformers' layers over a cache: "),
    "no type": ({"model_type": None}, "must say in its config.json: model_type"),
    "latent attention": (
        {"model_type": "deepseek_v2", "kv_lora_rank": 8},
        "kv_lora_rank=8: must be None: latent attention",
    ),
    "layers of unlike heads": (
        AutoConfig.for_model("gemma4_text", num_hidden_layers=6).to_dict(),
        "Gemma4ForCausalLM needs keys and values of one shape from every layer",
    ),
    "a layer that counts tokens": (
        AutoConfig.for_model("llama4_text", num_hidden_layers=4).to_dict(),
        "a layer takes the length of the cache for that of the text",
    ),
    "a way of its own": (
        AutoConfig.for_model("gpt_neo", num_layers=2, attention_types=[[["global"], 2]]).to_dict(),
        "GPTNeoForCausalLM attends in a way of its own",
    ),
    "a bias by position": (
        AutoConfig.for_model("bloom", n_layer=1).to_dict(),
        "BloomForCausalLM takes no positions of tokens",
    ),
    "an encoder": ({"is_encoder_decoder": True}, "must be a decoder alone"),
    "no head": ({"architectures": ["LlamaModel"]}, "must be a causal language model"),
    "a classifier": (
        {"architectures": ["Qwen3ForSequenceClassification"]},
        "must be a causal language model",
    ),
    "both ways": ({"is_causal": False}, "is_causal=False: must be True"),
    "bidirectional": ({"use_bidirectional_attention": True}, "must be False"),
    "chunks": ({"layer_types": ["chunked_attention"]}, "must be full_attention or sliding"),
    "part of a head": ({"partial_rotary_factor": 0.5}, "partial_rotary_factor=0.5: must be 1"),
    "in its rotation": (
        {"rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.5}},
        "must be 1: all of a head rotates",
    ),
    "each its rotation": (
        {"rope_parameters": {"full_attention": {"rope_type": "dynamic"}}},
        "rope_parameters='full_attention': must be the same in all layers",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_no_pass_computes_is_refused(case, tmp_path):
    fields, right = WRONG[case]
    name = written(tmp_path, tiny_config("tiny_target") | fields)
    found = line(describe, name)
    assert found.startswith(f"model={name!r}: ")
    assert right in found


def test_layers_that_slide_end_the_context_where_they_begin_to(tmp_path):
    fields = {"model_type": "qwen3", "sliding_window": 64}
    asked = tiny_config("tiny_target") | fields
    assert describe(written(tmp_path, asked)).context == 1024
    kinds = {"layer_types": ["full_attention", "sliding_attention"]}
    assert describe(written(tmp_path, asked | kinds)).context == 64


def test_what_transformers_layers_do_not_do_is_refused(tmp_path):
    name = written(tmp_path, AutoConfig.for_model("gemma3_text", num_hidden_layers=2).to_dict())
    assert describe(name).fast is False
    assert line(describe, name, "float32", 2).startswith("pair.tp=2: must be 1")
    assert not shards(name, 2)


def test_a_text_s_length_that_changes_all_rotations_ends_the_context(tmp_path):
    rope = {"rope_type": "longrope", "rope_theta": 1e4, "original_max_position_embeddings": 128}
    rope |= {"short_factor": [1.0] * 8, "long_factor": [2.0] * 8, "partial_rotary_factor": 1.0}
    fields = {
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "hidden_size": 64,
        "vocab_size": 64,
    }
    fields |= {"num_hidden_layers": 1, "intermediate_size": 64, "max_position_embeddings": 512}
    fields |= {"original_max_position_embeddings": 128, "pad_token_id": 0}
    config = AutoConfig.for_model("phi3", **fields, rope_parameters=rope)
    assert describe(written(tmp_path, config.to_dict())).context == 128
