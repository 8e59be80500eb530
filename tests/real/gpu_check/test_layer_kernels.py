"""What a layer's kernels take is measured beside what they replace."""

import json
from math import nan

import pytest
import torch

from ssdreal.gpu_check import layer_kernels
from ssdreal.gpu_check.layer_kernels import Shape, attention, correct, main

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _one_layer(monkeypatch):
    monkeypatch.setattr(layer_kernels, "LAYERS", 1)
    monkeypatch.setattr(layer_kernels, "AGAIN", 1)


def test_a_host_measures_what_it_has(tmp_path):
    main("cpu", str(tmp_path / "found.json"))
    found = json.loads((tmp_path / "found.json").read_text())
    assert list(found["attention"]) == ["1 of 16 tokens in 32", "5 of 16 tokens in 32"]
    for one in found["attention"].values():
        assert one.keys() == {"operations"}
        assert one["operations"] > 0
    assert found["bytes_per_s"]["default"].keys() == {"1", "5"}


def test_kernels_are_compared_where_they_run(monkeypatch):
    pytest.importorskip("triton", reason="triton runs the kernels, on a host its interpreter")
    from interpreted import interpret

    from ssdreal.kernels import decode_attention, rotary_scatter

    interpret(monkeypatch, decode_attention, rotary_scatter)
    monkeypatch.setattr(layer_kernels, "fuses", lambda _: True)
    found = attention(CPU, Shape(heads=2, kv_heads=1, head_dim=16), 1, 16, 32)
    assert found["kernels"] > 0
    assert correct(found)
    for wrong in ({"steady": False}, {"difference": 1.0}, {"difference": nan}):
        assert not correct(found | wrong)
