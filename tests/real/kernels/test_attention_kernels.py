"""A layer's own kernels compute what operations one by one do, here in Triton's interpreter."""

import pytest
import torch

pytest.importorskip("triton", reason="triton runs these kernels, on a host its interpreter")

from device_models import both
from interpreted import interpret

from ssdreal.kernels import attention, decode_attention, rotary_scatter
from ssdreal.kernels.decode_attention import BLOCK, MOST
from ssdreal.models.decoder import Layer
from ssdreal.models.device_layers import PLAIN, Around, by_triton, gathered, through
from ssdreal.models.pass_request import chain_mask

FIRST = 1  # of the slots; there is one more than the pass is over, on either side
LONG = (MOST + 1) * BLOCK
NOTHING = dict.fromkeys(Layer._fields)


@pytest.fixture(autouse=True)
def _interpreter(monkeypatch):
    interpret(monkeypatch, attention, decode_attention, rotary_scatter)


def block(at, heads=2, kv_heads=1, head_dim=8, extent=48, dtype=torch.float32, norms=False):
    """Return the heads of new tokens at entries (slots, N), a layer's cache, and what is around."""
    generator = torch.Generator().manual_seed(7)

    def numbers(*shape):
        return torch.randn(shape, generator=generator)

    slots, width = at.shape
    mixed = numbers(slots, width, heads + 2 * kv_heads, head_dim).to(dtype)
    entries = numbers(2, slots + 2, kv_heads, extent + 16, head_dim).to(dtype)
    angles = numbers(slots, width, 1, head_dim // 2)
    layer = Layer(**NOTHING)
    if norms:
        weights = (numbers(2 * head_dim).to(dtype) for _ in range(2))
        layer = layer._replace(query_norm=next(weights), key_norm=next(weights))
    slot = torch.arange(FIRST, FIRST + slots)[:, None]
    mask = chain_mask(at, extent)[:, None, :, None]
    here = Around(slot, at, angles.cos(), angles.sin(), mask, FIRST, heads, 1e-5)
    return mixed, entries, layer, here


def compare(mixed, entries, layer, here, **close):
    copy = entries.clone()
    right = gathered(mixed, copy, layer, here)
    found = by_triton()(mixed, entries, layer, here)
    torch.testing.assert_close(entries, copy, rtol=1e-5, atol=1e-5)  # bfloat16: to the bit
    torch.testing.assert_close(found, right, **close)


SHAPES = {
    "as in Llama": {"at": torch.tensor([[200]]), "heads": 4, "head_dim": 128, "extent": 320},
    "heads of their own": {"at": torch.tensor([[3, 4], [30, 31]]), "kv_heads": 2},
    "more rows than a program has": {"at": 9 + torch.arange(5)[None], "heads": 4, "head_dim": 16},
    "an odd size": {"at": torch.tensor([[0], [47]]), "head_dim": 20},
    "norms": {"at": torch.tensor([[130, 131]]), "head_dim": 64, "extent": 144, "norms": True},
    "splits of several blocks": {"at": torch.tensor([[LONG - 200]]), "extent": LONG},
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_they_compute_what_operations_one_by_one_do(shape):
    compare(*block(**shape), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("norms", [False, True])
def test_so_they_do_in_bfloat16(norms):
    at = torch.tensor([[40, 41]])
    mixed, entries, layer, here = block(at, dtype=torch.bfloat16, norms=norms)
    exact = block(at, norms=norms)
    compare(mixed, entries, layer, here, rtol=0.02, atol=0.02)
    right = gathered(*exact)
    errors = [
        (kind(mixed, entries, layer, here) - right).square().mean()
        for kind in (by_triton(), gathered)
    ]
    assert errors[0] < 2 * errors[1]  # what is rounded on the way is less


def test_what_nobody_sees_is_not_read():
    mixed, entries, layer, here = block(torch.tensor([[100], [30]]), extent=400)
    right = gathered(mixed, entries.clone(), layer, here)
    of_keys = entries[0].view(4, 1, 8, -1)
    of_keys[..., 128:] = entries[1, :, :, 128:] = torch.nan
    found = by_triton()(mixed, entries, layer, here)
    torch.testing.assert_close(found, right, rtol=1e-5, atol=1e-6)


def test_a_mask_may_be_any_and_a_token_that_sees_nothing_gathers_zeros():
    mixed, entries, layer, here = block(torch.arange(40, 43)[None], extent=300)
    sees = torch.rand((1, 3, 300), generator=torch.Generator().manual_seed(1)) < 0.2
    sees[:, :, 128:256] = sees[0, 2] = False
    here = here._replace(mask=sees[:, None, :, None])
    right = gathered(mixed, entries.clone(), layer, here)
    found = by_triton()(mixed, entries, layer, here)
    assert not found[0, 2].any()
    right[0, 2] = 0
    torch.testing.assert_close(found, right, rtol=1e-5, atol=1e-6)


def test_a_token_gathers_the_same_in_a_pass_of_one_and_of_several():
    at = torch.arange(127, 132)[None]
    mixed, entries, layer, here = block(at, heads=4, extent=140)
    together = by_triton()(mixed, entries, layer, here)
    for n in (0, 4):  # in the first program, and in the second
        one = slice(n, n + 1)
        alone = here._replace(
            at=at[:, one],
            cosines=here.cosines[:, one],
            sines=here.sines[:, one],
            mask=here.mask[:, :, one],
        )
        assert torch.equal(by_triton()(mixed[:, one], entries, layer, alone), together[:, one])


@pytest.mark.filterwarnings("ignore:All-NaN slice")
@pytest.mark.parametrize("where", ["queries", "values"])
def test_what_is_no_number_shows(where):
    mixed, entries, layer, here = block(torch.tensor([[200]]), extent=300)
    if where == "queries":
        mixed[:, :, 0] = torch.nan
    else:
        entries[1, FIRST, 0, 7] = torch.nan
    found = by_triton()(mixed, entries, layer, here)
    assert found[..., :8].isnan().all()
    assert found[..., 8:].isnan().any() == (where == "values")  # of the other head


@pytest.mark.slow
def test_a_model_has_the_same_logits_with_them():
    _, device = both("tiny_target")
    found = []
    for parts in (PLAIN, PLAIN._replace(through=lambda *given: through(*given, by_triton()))):
        cache, generator = device.cache(2, 48), torch.Generator().manual_seed(3)
        device.kernels = parts
        for begin, width in ((torch.tensor([[0], [0]]), 2), (torch.tensor([[2], [1]]), 1)):
            tokens = torch.randint(device.vocabulary, (2, width), generator=generator)
            at = begin + torch.arange(width)
            found.append(device.forward(cache, tokens, at, at, chain_mask(at, 48), 48))
    device.kernels = PLAIN
    for right, other in zip(found[:2], found[2:], strict=True):
        torch.testing.assert_close(other, right, rtol=1e-4, atol=1e-4)
