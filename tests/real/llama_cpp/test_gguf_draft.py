"""A draft as GGUF says what the draft says."""

import gguf
import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from ssdreal.distill.export import draft_config, write_draft
from ssdreal.llama_cpp.gguf_draft import paired, whole_head, write_gguf
from ssdreal.llama_cpp.program import main
from ssdsim.errors import ConfigError

VOCABULARY, WIDTH, LAYERS = 40, 64, 2
IDS = torch.tensor([3, 7, 8, 20, 39])


def config(layers):
    return LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        intermediate_size=96,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=False,
    )


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Return a draft's model with a head of five tokens, its folder, and its target's GGUF file."""
    torch.manual_seed(0)
    model, folder = LlamaForCausalLM(config(LAYERS)), tmp_path_factory.mktemp("draft")
    weights = {
        name.removeprefix("model."): weight
        for name, weight in model.state_dict().items()
        if "embed_tokens" not in name
    }
    weights["lm_head.weight"] = weights["lm_head.weight"][IDS]
    write_draft(folder, draft_config(model, LAYERS, len(IDS)), weights, IDS)
    target = folder / "target.gguf"
    writer = gguf.GGUFWriter(target, "llama")
    writer.add_block_count(9)
    writer.add_embedding_length(WIDTH)
    writer.add_head_count(4)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([f"t{at}" for at in range(VOCABULARY)])
    writer.add_tensor("token_embd.weight", model.model.embed_tokens.weight.detach().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return model, folder, target


@pytest.fixture(scope="module")
def written(pair):
    _, folder, target = pair
    out = folder / "draft.gguf"
    write_gguf(str(folder), target, out)
    reader = gguf.GGUFReader(out)
    tensors = {t.name: gguf.quants.dequantize(t.data, t.tensor_type) for t in reader.tensors}
    return reader, tensors


def test_shape_and_tokenizer_are_the_targets_but_for_the_layers(written):
    reader, _ = written
    assert reader.fields["llama.block_count"].contents() == LAYERS
    assert reader.fields["llama.embedding_length"].contents() == WIDTH
    assert len(reader.fields["tokenizer.ggml.tokens"].contents()) == VOCABULARY


def test_tensors_are_the_drafts_to_a_255th_of_a_rows_range(pair, written):
    model, _, _ = pair
    _, tensors = written
    whole = model.state_dict()
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, LAYERS)
    assert len(tensors) == len(whole)
    for name, weight in whole.items():
        expected, found = weight.numpy(), tensors[names.get_name(name, (".weight",))]
        if name.endswith(("q_proj.weight", "k_proj.weight")):
            expected = paired(expected, 4 if "q_proj" in name else 2)
        if name == "lm_head.weight":
            found, expected = found[IDS], expected[IDS]
        assert abs(found - expected).max() <= abs(expected).max() / 100, name


def test_rotated_pairs_become_neighbours():
    rows = np.arange(2 * 6, dtype=np.float32)[:, None]  # two heads of six
    assert paired(rows, 2)[:, 0].tolist() == [0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11]


def test_a_token_that_the_draft_cannot_say_is_never_its_first_choice(written):
    _, tensors = written
    states = np.random.default_rng(0).normal(size=(500, WIDTH)).astype(np.float32)
    logits = states @ tensors["output.weight"].T
    assert set(logits.argmax(axis=1)) <= set(IDS.tolist())
    head = whole_head(np.array([[1.0], [3.0]], np.float32), np.array([2, 0]), 4)
    assert head[:, 0].tolist() == [3.0, 2.0, 1.0, 2.0]


def test_another_kind_of_model_is_refused(pair):
    _, folder, target = pair
    with pytest.raises(ConfigError, match="draft='tiny_target': must be a draft without"):
        write_gguf("tiny_target", target, folder / "none.gguf")
    assert not (folder / "none.gguf").exists()


def test_a_target_that_does_not_fit_is_refused(pair, tmp_path):
    _, folder, target = pair
    with pytest.raises(ConfigError, match=r"smollm2_135m_draft'.*embedding of shape"):
        write_gguf("smollm2_135m_draft", target, tmp_path / "none.gguf")
    other = tmp_path / "text.gguf"
    other.write_text("no model")
    with pytest.raises(ConfigError, match="must be a GGUF file"):
        write_gguf(str(folder), other, tmp_path / "none.gguf")


def test_the_command_writes_it_once(pair, tmp_path, capsys):
    _, folder, target = pair
    words = ["--draft", str(folder), "--target", str(target), "--out", str(tmp_path / "d.gguf")]
    assert main(words) == 0
    assert f"{tmp_path / 'd.gguf'}: 0." in capsys.readouterr().out
    assert main(words) == 2
    assert "--out=" in capsys.readouterr().err
    assert main([*words, "--overwrite"]) == 0
    assert main(["--target", str(tmp_path / "none"), *words[4:], "--overwrite"]) == 2
    assert "--target=" in capsys.readouterr().err
