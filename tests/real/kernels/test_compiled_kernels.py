"""The kernels of attention, compiled for a GPU that is not there."""

import re

import pytest
import torch

pytest.importorskip("triton", reason="triton compiles them")

from ahead_of_time import Recorder

from ssdreal.kernels import attention, decode_attention, rotary_scatter
from ssdreal.models.pass_request import chain_mask

pytestmark = pytest.mark.slow  # a compiler takes seconds a kernel

EXTENT = 320

SHARED = 227 << 10
"""Bytes of shared memory that a program may have."""


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
    turn = (torch.zeros((1, width, 1, head_dim // 2)),) * 2
    norms = (torch.zeros(2 * head_dim, dtype=dtype),) * 2
    attention.attention(
        torch.zeros((1, width, 12, head_dim), dtype=dtype),
        rotary_scatter.Rotary(*turn, *norms, epsilon=1e-5),
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
