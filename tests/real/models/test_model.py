import numpy as np
import pytest
import torch
from read_models import EVERY, KINDS, SHAPE, load, read, shallow, text, tokens_for
from transformers import AutoConfig, AutoModelForCausalLM

from ssdreal.models import checkpoints
from ssdreal.models.decoder import compiled, decode
from ssdreal.models.model import Model
from ssdreal.models.pass_request import chain_mask
from ssdreal.workers import loading


@pytest.mark.parametrize("kind", KINDS)
def test_logits_are_those_of_transformers(kind, tmp_path):
    whole = AutoModelForCausalLM.from_config(AutoConfig.for_model(**SHAPE | KINDS[kind]))
    for weight in whole.parameters():  # biases start as zeros, norms as ones
        torch.nn.init.normal_(weight, std=0.3)
    whole.save_pretrained(tmp_path)
    tokens = torch.randint(64, (2, 100))
    found = read(loading.load(str(tmp_path), "float32"), tokens)
    with torch.inference_mode():
        right = whole(tokens).logits
    torch.testing.assert_close(found, right, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_real_logits_are_those_of_transformers():
    with torch.inference_mode():
        right = checkpoints.huggingface("smollm2_135m", "float32")(text()).logits
    found = read(load("smollm2_135m", "float32"), text())
    torch.testing.assert_close(found, right, rtol=1e-3, atol=1e-3)


@pytest.mark.slow
def test_real_logits_in_bfloat16_are_as_close_to_exact_ones_as_those_of_transformers():
    whole = checkpoints.huggingface("smollm2_135m", "bfloat16")
    with torch.inference_mode():
        theirs = whole(text()).logits.float()
        exact = whole.float()(text()).logits  # the same rounded weights
    ours = read(load("smollm2_135m", "bfloat16"), text())
    error = (ours - exact).square().mean().sqrt()
    assert error < 1.2 * (theirs - exact).square().mean().sqrt()
    top, choice = ours.max(-1)
    their_choice = theirs.argmax(-1)
    near = top - ours.gather(-1, their_choice[..., None])[..., 0] < 8 * error
    assert torch.all((choice == their_choice) | near)


BRANCHES = 24


def grown(model: Model, prefix: torch.Tensor, levels: torch.Tensor):
    """A tree of 24 branches that leave the prefix at once, level by level; logits of the last."""
    start, depth = prefix.shape[1], len(levels)
    capacity = start + depth * BRANCHES + 8
    cache = model.cache(2, capacity)
    at = torch.arange(start).expand(2, -1)
    model.forward(cache, prefix, at, at, chain_mask(at, start), start, logits=False)
    sees = np.zeros((2, BRANCHES, capacity), bool)
    sees[:, :, :start] = True
    for level, tokens in enumerate(levels):
        at = torch.arange(BRANCHES).expand(2, -1) + start + level * BRANCHES
        sees[:, np.arange(BRANCHES), at[0]] = True
        positions = torch.full((2, BRANCHES), start + level)
        mask, extent = torch.from_numpy(sees), start + (level + 1) * BRANCHES
        both = tokens.expand(2, -1)
        logits = model.forward(cache, both, positions, at, mask[:, :, :extent], extent)
    return cache, logits


@pytest.mark.parametrize("name", ["tiny_target", "smollm2_135m"])
def test_a_tree_pass_equals_chains_from_forked_caches(name):
    model = shallow(name, "float32")
    prefix = tokens_for(model, 20).expand(2, -1)
    levels = torch.randint(model.vocabulary, (2, BRANCHES), generator=torch.Generator())
    _, logits = grown(model, prefix, levels)
    chains = torch.cat((prefix[:1].expand(BRANCHES, -1), levels.T), dim=1)
    right = read(model, chains)[:, -1]
    torch.testing.assert_close(logits[0], right, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(logits[1], right, rtol=1e-3, atol=1e-3)
    assert torch.equal(logits[0].argmax(-1), right.argmax(-1))


def test_one_slot_alone_is_read_into_the_shared_cache():
    model = shallow("tiny_target", "float32")
    cache, tokens = model.cache(3, 16), tokens_for(model, 9)
    at = torch.arange(9)[None]
    alone = cache.alone(1)
    found = model.forward(alone, tokens, at, at, chain_mask(at, 9), 9)
    torch.testing.assert_close(found, read(model, tokens), rtol=1e-5, atol=1e-5)
    assert alone.slots == 1
    assert cache.keys[:, 1, :, :, :9].abs().amin(-2).min() > 0
    assert cache.values[:, 1, :, :9].abs().amin(-1).min() > 0
    assert not cache.entries[:, :, [0, 2]].any()


def test_entries_beyond_the_extent_do_not_matter():
    model = shallow("tiny_target", "float32")
    tokens, at = tokens_for(model, 9), torch.arange(9)[None]
    cache = model.cache(1, 32)
    cache.entries.normal_()
    found = model.forward(cache, tokens, at, at, chain_mask(at, 12), 12)
    torch.testing.assert_close(found, read(model, tokens), rtol=1e-5, atol=1e-5)


@EVERY
def test_what_sees_nothing_or_only_itself_stays_finite(name, dtype):
    model = shallow(name, dtype)
    at = torch.arange(3)[None]
    for mask in (torch.zeros(1, 3, 8, dtype=torch.bool), torch.eye(3, 8, dtype=torch.bool)[None]):
        logits = model.forward(model.cache(1, 8), tokens_for(model, 3), at, at, mask, 8)
        assert torch.isfinite(logits).all()


def test_without_logits_a_pass_only_fills_the_cache():
    model = shallow("tiny_target", "float32")
    at = torch.arange(6)[None]
    cache, other = model.cache(1, 6), model.cache(1, 6)
    arguments = (tokens_for(model, 6), at, at, chain_mask(at, 6), 6)
    assert model.forward(cache, *arguments, logits=False) is None
    model.forward(other, *arguments)
    assert torch.equal(cache.entries, other.entries)


def test_a_mask_for_another_extent_is_refused():
    model = shallow("tiny_target", "float32")
    at = torch.arange(6)[None]
    with pytest.raises(AssertionError, match="mask"):
        model.forward(model.cache(1, 8), tokens_for(model, 6), at, at, chain_mask(at, 6), 8)


def test_a_trimmed_head_gives_the_whole_one_s_logits_of_its_ids():
    trimmed, whole = shallow("tiny_trimmed_draft", "float32"), shallow("tiny_draft", "float32")
    assert trimmed.vocabulary == whole.vocabulary == 64
    assert whole.ids is None
    assert trimmed.ids.tolist() == sorted(set(trimmed.ids.tolist()))
    assert len(trimmed.ids) == 48
    tokens = tokens_for(whole, 30)
    found, right = read(trimmed, tokens), read(whole, tokens)[..., trimmed.ids]
    torch.testing.assert_close(found, right, rtol=1e-5, atol=1e-5)


@EVERY
def test_compiled_layers_compute_what_python_does_bit_by_bit(name, dtype):
    model = shallow(name, dtype)
    assert model.decode is not decode
    tokens = tokens_for(model, 7)
    found = read(model, tokens)
    script, model.decode = model.decode, decode
    again = read(model, tokens)
    model.decode = script
    assert torch.equal(found, again)


def test_where_nothing_can_be_compiled_python_serves(monkeypatch):
    monkeypatch.delattr("torch.jit.script")
    assert compiled() is decode


def test_chain_mask_takes_arrays_too():
    at = np.array([[0, 1, 2], [4, 5, 6]])
    mask = chain_mask(at, 8)
    assert mask.shape == (2, 3, 8)
    assert mask.sum(-1).tolist() == [[1, 2, 3], [5, 6, 7]]
