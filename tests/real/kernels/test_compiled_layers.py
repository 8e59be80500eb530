"""The kernels of a layer, compiled for an H200 that is not there."""

import re
from math import prod

import pytest
import torch

pytest.importorskip("triton", reason="triton compiles them")

from ahead_of_time import Recorder
from cuda_runs import gpu, model
from fake_cuda import DEVICE

from ssdreal.kernels import attention, decode_attention, rotary_scatter
from ssdreal.models.model import chain_mask

pytestmark = pytest.mark.slow  # a compiler takes seconds a kernel

EXTENT, MOST = 320, 9
"""Four products, two norms, what is within the MLP, and two kernels where attention is."""

SHARED = 227 << 10
"""Bytes of shared memory that a program may have."""

SHAPES = [("llama31_8b", 1), ("llama31_8b", 5), ("llama32_1b", 12), ("qwen3_0.6b", 1)]


def test_a_layer_is_nine_kernels_and_copies_nothing():
    with gpu() as compiler:
        for name, width in SHAPES:
            whole = model(name)
            cache = whole.cache(1, EXTENT)
            at = torch.zeros((1, width), dtype=torch.int64, device=DEVICE)
            whole.forward(cache, at, at, at, chain_mask(at, EXTENT), EXTENT)
            layer = compiler.distinct("through")[-1]
            assert layer.kernels <= MOST
            assert max(numbers for numbers, _ in layer.buffers) < prod(cache.entries.shape)


@pytest.mark.parametrize(
    ("dtype", "width", "head_dim"), [(torch.bfloat16, 5, 128), (torch.float32, 1, 8)]
)
def test_both_kernels_of_attention_become_machine_code(monkeypatch, dtype, width, head_dim):
    made = []
    for module in (rotary_scatter, decode_attention):
        name = f"{module.__name__.rpartition('.')[2]}_kernel"
        recorder = Recorder(getattr(module, name))
        monkeypatch.setattr(module, name, recorder)
        made.append(recorder.made)
    at = torch.arange(width)[None]
    attention.attention(
        torch.zeros((1, width, 12, head_dim), dtype=dtype),
        (torch.zeros((1, width, 1, head_dim // 2)),) * 2,
        (torch.zeros(2 * head_dim, dtype=dtype),) * 2,
        1e-5,
        torch.zeros((2, 1, 2, EXTENT, head_dim), dtype=dtype),
        chain_mask(at, EXTENT),
        at,
        first=0,
    )
    ((rotary,), (decode,)) = made
    assert rotary.asm["cubin"]
    assert decode.asm["cubin"]
    assert decode.metadata.shared <= SHARED
    # A program's stores happen before it says that it has arrived, and its loads after that.
    before, arrival, after = re.split(r"(atom\.\S+)", decode.asm["ptx"])
    assert arrival == "atom.global.gpu.acq_rel.add.u32"
    assert "bar.sync" in before[before.rindex("st.global") :]
    assert "bar.sync" in after[: after.index("ld.global")]
