"""Packed weights and their products."""

import pytest
import torch

from ssdreal.models.decoder import attended
from ssdreal.models.linear import Weight, linear, packed

torch.set_num_threads(1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("bias", [None, torch.linspace(-1, 1, 40)])
def test_packed_products_are_products(dtype, bias):
    x, weight = torch.randn(2, 3, 24).to(dtype), torch.randn(40, 24).to(dtype)
    laid_out = packed(weight)
    assert laid_out.wide.is_mkldnn
    assert (laid_out.narrow is not None) == (dtype == torch.bfloat16)
    right = torch.nn.functional.linear(x, weight, None if bias is None else bias.to(dtype))
    close = {"rtol": 0.016, "atol": 0.02} if dtype == torch.bfloat16 else {}  # rounded twice
    for layout in (laid_out, Weight(weight, None)):
        torch.testing.assert_close(linear(x, layout, bias), right, **close)
    exact = torch.nn.functional.linear(x.float(), weight.float(), bias)
    torch.testing.assert_close(linear(x.float(), laid_out, bias), exact, rtol=1e-4, atol=1e-4)


def test_weights_stay_as_they_are_where_this_build_cannot_pack(monkeypatch):
    monkeypatch.delattr(torch.ops.mkldnn, "_reorder_linear_weight")
    monkeypatch.delattr(torch.ops.quantized, "linear_prepack_fp16")
    monkeypatch.setattr("torch._ops._OpNamespace.__getattr__", refuse)
    weight = torch.randn(4, 4).bfloat16()
    assert torch.equal(packed(weight).wide, weight)
    assert packed(weight).narrow is None


def test_what_float16_does_not_reach_is_kept_as_it_is():
    weight = torch.randn(4, 4).bfloat16()
    assert packed(weight).narrow is not None
    weight[2, 1] = 70_000.0
    assert packed(weight).narrow is None


def refuse(_self: object, name: str) -> None:
    raise AttributeError(name)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("slots", [1, 4])
def test_few_rows_attend_bit_by_bit_as_many_do(slots, dtype):
    rng = torch.Generator().manual_seed(slots)
    shapes = ((slots, 3, 12, 1, 64), (slots, 3, 64, 96), (slots, 3, 96, 64))
    queries, keys, values = (torch.randn(shape, generator=rng).to(dtype) for shape in shapes)
    bias = torch.zeros(slots, 1, 12, 96, dtype=dtype)
    whole = attended(queries, keys, values, bias)
    for few in (1, 2, 3, 5, 8):
        found = attended(queries[:, :, :few], keys, values, bias[:, :, :few])
        assert torch.equal(found, whole[:, :few])
