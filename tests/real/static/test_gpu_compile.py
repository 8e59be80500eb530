"""What is fused on a GPU compiles for one: down to machine code, without having one."""

import pytest
import torch
from cuda_compiler import cuda_compiler
from cuda_runs import decode, gpu, model, prepared
from fake_cuda import DEVICE

from ssdreal.executor.setup import Setup
from ssdreal.executor.workload import Workload
from ssdreal.models.compiled_functions import fused
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.sampling.settings import Decoding

pytestmark = pytest.mark.slow  # a compiler takes seconds a function

GREEDY = Decoding(0.0)
DECODINGS = [
    GREEDY,
    Decoding(1.0, "gumbel"),
    Decoding(0.7, "gumbel", top_k=20, top_p=0.9),
    Decoding(1.0),
    Decoding(0.7, top_k=20, top_p=0.9),
    Decoding(1.0, top_p=0.9),
    Decoding(1.0, saguaro_constant=0.3),
]


def setup(method, decoding=GREEDY, K=4, **more):
    return Setup(method, Workload(1, 16), lookahead=K, decoding=decoding, **more)


def checked(compiler):
    """Everything that was fused was compiled, and nothing twice."""
    assert {one.name for one in compiler.distinct()} == compiler.fused
    assert len(compiler.asked) == len(compiler.distinct())


def test_every_rule_compiles_for_a_pair_with_the_largest_vocabulary():
    with gpu() as compiler:
        pair = model("llama31_8b"), model("llama32_1b")
        for decoding in DECODINGS:
            prepared(setup(Ssd(), decoding), *pair)
        prepared(setup(Autoregressive(), Decoding(1.0)), *pair)  # nothing is drafted
        checked(compiler)


def test_every_rule_compiles_for_a_draft_of_some_tokens():
    with gpu() as compiler:
        pair = model("tiny_target", "float32"), model("tiny_trimmed_draft", "float32")
        for decoding in DECODINGS:
            prepared(setup(Ssd(), decoding, batch=1), *pair)
        checked(compiler)


@pytest.mark.parametrize(
    "pair", [("qwen3_32b", "qwen3_0.6b"), ("smollm2_135m", "smollm2_135m_draft")]
)
def test_the_layers_of_every_kind_of_model_compile(pair):
    with gpu() as compiler:
        prepared(setup(Speculative()), *map(model, pair))
        checked(compiler)
        for layer in compiler.distinct("through"):
            cache = min(numbers for numbers, rank, dtype in given(layer) if rank == 4 and dtype == "torch.bfloat16")
            wide = [numbers for numbers, dtype in layer.buffers if dtype == "torch.float32"]
            assert max(wide, default=0) < cache, "weights or cache are copied"
        assert kernels_a_layer(compiler) <= 12
