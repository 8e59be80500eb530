"""Whatever a checkpoint lacks is said before anything is decoded: no weight is ever made up."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from real_commands import PROMPTS, refused
from safetensors.torch import load_file, save_file

from ssdreal.executor.pair import Pair
from ssdreal.executor.preflight import check_pair
from ssdreal.models import checkpoints
from ssdreal.models.draft_format import read_draft
from ssdreal.models.tensors import check_weights, plain_name, tensors
from ssdreal.models.tiny import VOCABULARY, tiny_config, tiny_weights
from ssdreal.sharding.weight_shares import Share
from ssdreal.workers import loading
from ssdsim.errors import ConfigError

torch.set_num_threads(1)
GATE = "model.layers.1.mlp.gate_proj.weight"


def write_config(folder, **fields):
    config = tiny_config("tiny_target") | fields
    (folder / "config.json").write_text(json.dumps(config))
    return config


@pytest.fixture
def folder(tmp_path):
    """The tiny target as a checkpoint."""
    found = tmp_path / "model"
    found.mkdir()
    write_config(found)
    save_file(tiny_weights("tiny_target"), found / "model.safetensors")
    return found


@pytest.fixture
def draft(tmp_path):
    """A draft in the packaged format, 40 ids of the tiny target's, its MLPs in int8."""
    found = tmp_path / "draft"
    found.mkdir()
    write_config(found, num_hidden_layers=1, draft_vocab_size=40, embedding="target")
    stored = {"vocab_ids": torch.arange(40, dtype=torch.int32)}
    for key, weight in tiny_weights("tiny_draft").items():
        name = plain_name(key)
        if name == "lm_head.weight":
            stored[name] = weight[:40].contiguous()
        elif "mlp" in name:
            stored[name] = weight.clamp(-1, 1).mul(100).to(torch.int8)
            stored[f"{name}_scale"] = torch.full((len(weight),), 0.01)
        elif name != "embed_tokens.weight":
            stored[name] = weight
    save_file(stored, found / "model.safetensors")
    return found


def changed(folder, change):
    """Let a checkpoint's tensors be others."""
    file = folder / "model.safetensors"
    held = load_file(file)
    change(held)
    save_file({key: weight.contiguous() for key, weight in held.items()}, file)


def without(*parts):
    def change(held):
        for key in [key for key in held if any(part in key for part in parts)]:
            del held[key]

    return change


def becoming(key, make):
    return lambda held: held.update({key: make(held[key])})


DAMAGE = {
    "one MLP": (without("layers.1.mlp"), "lacks 3: layers.1.mlp.gate_proj.weight"),
    "the head": (without("lm_head"), "lacks 1: lm_head.weight"),
    "the embedding": (without("embed_tokens"), "lacks 1: embed_tokens.weight"),
    "a norm": (without("model.norm"), "lacks 1: norm.weight"),
    "nearly all": (without("layers"), "lacks 18: layers.0."),
    "another shape": (becoming(GATE, torch.t), "gate_proj.weight (64, 32), not (32, 64)"),
    "flat": (becoming(GATE, torch.flatten), "gate_proj.weight (64, 32), not (2048,)"),
    "whole numbers": (becoming(GATE, torch.Tensor.char), "layers.1.mlp.gate_proj.weight is I8"),
}


def refusal(call, *arguments, **options):
    with pytest.raises(ConfigError) as caught:
        call(*arguments, **options)
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize("case", DAMAGE)
def test_no_weight_is_made_up(case, folder):
    change, right = DAMAGE[case]
    changed(folder, change)
    name = str(folder)
    for call, arguments in (
        (check_weights, (name, folder)),
        (checkpoints.huggingface, (name, "float32")),
        (checkpoints.sliced, (name, "float32")),
    ):
        text = refusal(call, *arguments)
        assert text.startswith(f"model={name!r}: must have ")
        assert right in text
    assert right in refusal(loading.load, name, "float32", share=Share(1, 2))


def test_a_command_refuses_before_it_loads(folder, capsys, tmp_path):
    changed(folder, without("layers.1.mlp"))
    for pair in (
        ("pair.target", "pair.draft=tiny_draft"),
        ("pair.draft", "pair.target=tiny_target"),
    ):
        option, other = pair
        line = refused(
            capsys,
            tmp_path / "out",
            f"{option}={folder}",
            other,
            f"prompts={PROMPTS}",
            "workload.prompts=1",
        )
        assert line.startswith(f"{option}={str(folder)!r}: must have all weights that its config")
        assert "lacks 3: layers.1.mlp.gate_proj.weight, " in line


def cut(file: Path, size):
    data = file.read_bytes()
    file.write_bytes(data[: size if size >= 0 else len(data) + size])


@pytest.mark.parametrize("size", [0, 5, 100, -1])
def test_a_file_that_is_cut_short_is_refused(size, folder):
    cut(folder / "model.safetensors", size)
    for call in (checkpoints.huggingface, checkpoints.sliced):
        text = refusal(call, str(folder), "float32")
        assert "model.safetensors is damaged or cut short" in text


@pytest.fixture
def parts(folder):
    """The same checkpoint in two files."""
    held = load_file(folder / "model.safetensors")
    names = {key: f"model-0000{1 + (key > 'model.layers.1')}-of-00002.safetensors" for key in held}
    for file in set(names.values()):
        save_file({key: held[key] for key in held if names[key] == file}, folder / file)
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": names})
    )
    return folder


def test_a_checkpoint_in_parts_is_whole(parts):
    whole = loading.load("tiny_target", "float32")
    assert torch.equal(loading.load(str(parts), "float32").embedding, whole.embedding)
    _, slices, _ = checkpoints.sliced(str(parts), "float32")
    assert set(slices) == set(tensors(tiny_config("tiny_target")))


@pytest.mark.parametrize("content", ['{"weight_map": {}}', "{}", '{"weight_map": [1]}', "nonsense"])
def test_an_index_must_be_one(content, parts):
    (parts / "model.safetensors.index.json").write_text(content)
    assert "index.json" in refusal(checkpoints.huggingface, str(parts), "float32")


def test_an_index_names_files_that_are_there(parts):
    (parts / "model-00002-of-00002.safetensors").unlink()
    for call in (checkpoints.huggingface, checkpoints.sliced):
        text = refusal(call, str(parts), "float32")
        assert "names, lacks 1: model-00002-of-00002.safetensors" in text


def test_a_tied_head_is_in_no_file(folder):
    write_config(folder, tie_word_embeddings=True)
    changed(folder, without("lm_head"))
    embedding = tiny_weights("tiny_target")["model.embed_tokens.weight"]
    for read in (
        checkpoints.sliced(str(folder), "float32")[1]["lm_head.weight"][:],
        checkpoints.huggingface(str(folder), "float32").lm_head.weight,
    ):
        assert torch.equal(read, embedding)


def test_a_head_beside_a_tied_one_is_not_read(folder):
    # transformers ties whatever the file has; a sharded target must be the same model.
    write_config(folder, tie_word_embeddings=True)
    _, slices, _ = checkpoints.sliced(str(folder), "float32")
    assert torch.equal(slices["lm_head.weight"][:], slices["embed_tokens.weight"][:])


def test_what_is_made_anew_may_be_stored_or_not(folder):
    changed(
        folder,
        lambda held: held.update({"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)}),
    )
    check_weights(str(folder), folder)
    checkpoints.huggingface(str(folder), "float32")


KINDS = [
    {"model_type": "llama"},
    {"model_type": "llama", "attention_bias": True, "mlp_bias": True},
    {"model_type": "llama", "tie_word_embeddings": True, "num_key_value_heads": None},
    {"model_type": "mistral"},
    {"model_type": "qwen2"},
    {"model_type": "qwen2", "mlp_bias": True},
    {"model_type": "qwen3", "head_dim": 16},
    {"model_type": "qwen3", "attention_bias": True},
]


@pytest.mark.parametrize("fields", KINDS)
def test_the_tensors_of_a_model_are_those_of_transformers(fields):
    from transformers import AutoConfig, AutoModelForCausalLM

    config = tiny_config("tiny_target") | fields
    made = {key: value for key, value in config.items() if value is not None}
    with torch.device("meta"):
        whole = AutoModelForCausalLM.from_config(AutoConfig.for_model(**made)).state_dict()
    shapes = {plain_name(key): tuple(weight.shape) for key, weight in whole.items()}
    tied = {"lm_head.weight"} if config.get("tie_word_embeddings") else set()
    assert tensors(config) == {key: shape for key, shape in shapes.items() if key not in tied}


DRAFTS = {
    "a scale": (without("gate_proj.weight_scale"), "mlp.gate_proj.weight_scale"),
    "an MLP": (without("down_proj"), "layers.0.mlp.down_proj.weight"),
    "ids": (without("vocab_ids"), "vocab_ids"),
    "rows": (becoming("lm_head.weight", lambda w: w[1:]), "lm_head.weight (40, 32), not (39, 32)"),
    "ids twice": (becoming("vocab_ids", lambda ids: ids.clamp(max=38)), "from 0 to 63, none twice"),
    "ids beyond": (becoming("vocab_ids", lambda ids: ids + VOCABULARY), "from 0 to 63, none twice"),
    "ids below": (becoming("vocab_ids", lambda ids: ids - 1), "from 0 to 63, none twice"),
    "halves": (becoming("vocab_ids", lambda ids: ids.bfloat16() + 0.5), "vocab_ids is BF16"),
}


@pytest.mark.parametrize("case", DRAFTS)
def test_a_draft_must_be_whole_as_well(case, draft):
    change, right = DRAFTS[case]
    assert loading.load(str(draft), "float32", target="tiny_target").vocabulary == VOCABULARY
    changed(draft, change)
    text = refusal(loading.load, str(draft), "float32", target="tiny_target")
    assert text.startswith(f"model={str(draft)!r}: must have ")
    assert right in text


def test_the_shipped_pair_is_whole():
    check_pair(Pair("tiny_target", "tiny_draft"), "bfloat16")
    folder = checkpoints.find_folder("smollm2_135m_draft")
    check_weights("smollm2_135m_draft", folder)
    read_draft(folder)


def test_other_files_beside_the_weights_do_not_count(folder):
    shutil.copy(folder / "model.safetensors", folder / "consolidated.safetensors")
    changed(folder, without("lm_head"))
    assert "lm_head.weight" in refusal(checkpoints.sliced, str(folder), "float32")
