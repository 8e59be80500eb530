"""What a GPU computes, computed on the host: the model's own logits, and without a graph break."""

from contextlib import contextmanager

import pytest
import torch
from device_models import both
from read_models import KINDS, SHAPE, tokens_for
from transformers import AutoConfig, AutoModelForCausalLM

from ssdreal.models.compiled_functions import OFF, fused
from ssdreal.models.device_layers import PLAIN, kernels_by
from ssdreal.models.pass_request import chain_mask
from ssdreal.models.sublayers import Sublayers

SLOTS, CAPACITY = 3, 48


def story(model):
    """Return the logits of passes of all kinds, one after another, and the cache behind them."""
    cache_, found = model.cache(SLOTS, CAPACITY), []
    generator = torch.Generator().manual_seed(3)

    def read(begin, width, cache=cache_, extent=CAPACITY, mask=None, logits=True):
        slots = cache.slots
        tokens = torch.randint(model.vocabulary, (slots, width), generator=generator)
        at = begin + torch.arange(width).expand(slots, -1)
        mask = chain_mask(at, extent) if mask is None else mask
        found.append(model.forward(cache, tokens, at, at, mask, extent, logits=logits))

    read(0, 7, extent=7)
    read(0, 6, cache_.alone(1), extent=6, logits=False)
    read(torch.tensor([[7], [6], [4]]), 5)
    read(torch.tensor([[9], [8], [6]]), 1)
    sees = torch.rand((SLOTS, 4, CAPACITY), generator=generator) < 0.3
    sees[:, :, 16:] = False
    sees[0, 0] = False  # a token that sees nothing
    read(12, 4, mask=sees)
    return [logits for logits in found if logits is not None], cache_.entries


def agree(host, device, **close):
    (right, entries), (found, written) = story(host), story(device)
    assert len(right) == len(found) == 4
    for one, other in zip(right, found, strict=True):
        torch.testing.assert_close(other, one, **close)
    torch.testing.assert_close(written, entries, **close)


@pytest.mark.parametrize("name", ["tiny_target", "tiny_trimmed_draft"])
def test_a_device_computes_what_a_host_does(name):
    agree(*both(name), rtol=1e-4, atol=1e-4)


def test_so_it_does_in_bfloat16():
    host, device = both("tiny_target", "bfloat16")
    exact, _ = story(both("tiny_target")[0])
    for one, other, right in zip(story(host)[0], story(device)[0], exact, strict=True):
        error = (other - right).square().mean()
        assert 0 < error < 4 * (one - right).square().mean()  # few rows are exacter on a host


@pytest.mark.parametrize("kind", KINDS)
def test_so_it_does_for_every_kind_of_model(kind, tmp_path):
    whole = AutoModelForCausalLM.from_config(AutoConfig.for_model(**SHAPE | KINDS[kind]))
    for weight in whole.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    whole.save_pretrained(tmp_path)
    agree(*both(str(tmp_path)), rtol=1e-3, atol=1e-3)


def test_so_it_does_with_sublayers_left_out():
    host, device = both("tiny_target")
    for skipped in (((1,), (0,)), ((0, 1), ()), ((0,), (0,))):
        fewer = [model.without(Sublayers(*skipped)) for model in (host, device)]
        (right, _), (found, _) = (story(model) for model in fewer)
        for one, other in zip(right, found, strict=True):
            torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-4)


@contextmanager
def compiled(device, backend):
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    device.kernels = kernels_by(backend)
    yield lambda: torch._dynamo.utils.counters["stats"]["unique_graphs"]
    device.kernels = PLAIN


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_it_compiles_whole_once_for_each_shape_and_for_all_layers(backend):
    _, device = both("tiny_target")
    right, entries = story(device)
    with compiled(device, backend) as graphs:
        found, written = story(device)
        assert graphs() == 3 * len(found)  # parts of a pass; prompts are not compiled
        again, _ = story(device)
        assert graphs() == 3 * len(found)
    for one, other, more in zip(right, found, again, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-4)
        assert torch.equal(other, more)
    torch.testing.assert_close(written, entries, rtol=1e-4, atol=1e-4)


@pytest.mark.slow  # it compiles C++
def test_what_inductor_makes_of_it_is_the_same():
    _, device = both("tiny_target")
    tokens = tokens_for(device, 8).view(2, 4)
    at = torch.arange(4).expand(2, -1)
    caches = device.cache(2, 16), device.cache(2, 16)
    rest = tokens, at, at, chain_mask(at, 16), 16
    right = device.forward(caches[0], *rest)
    with compiled(device, "inductor"):
        found = device.forward(caches[1], *rest)
    torch.testing.assert_close(found, right, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(caches[1].entries, caches[0].entries, rtol=1e-4, atol=1e-4)


def test_a_function_stays_what_it_is_where_nothing_is_compiled(monkeypatch):
    there = "ssdreal.models.compiled_functions.find_spec"
    monkeypatch.setattr(there, lambda _: True)
    assert fused(story, torch.device("cuda")) is not story
    assert fused(story, torch.device("cpu")) is story
    monkeypatch.setenv(OFF, "1")
    assert fused(story, torch.device("cuda")) is story
    monkeypatch.delenv(OFF)
    monkeypatch.setattr(there, lambda _: None)
    assert fused(story, torch.device("cuda")) is story


def test_positions_beyond_the_context_are_junk_and_do_no_harm():
    _, device = both("tiny_target")
    tokens, at = tokens_for(device, 3), torch.arange(3)[None]
    beyond = at + torch.tensor([[0, 0, device.context]])
    found = device.forward(device.cache(1, 16), tokens, beyond, at, chain_mask(at, 16), 16)
    right = device.forward(device.cache(1, 16), tokens, at, at, chain_mask(at, 16), 16)
    assert torch.equal(found[:, :2], right[:, :2])
    assert torch.isfinite(found).all()
