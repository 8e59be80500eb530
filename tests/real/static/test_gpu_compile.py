"""What is fused on a GPU compiles for one: down to machine code, without having one."""

import pytest
from cuda_runs import decode, gpu, kernels_a_layer, model, prepared

from ssdreal.executor.setup import Setup
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.sampling.settings import Decoding
from ssdsim.workloads.closed import Closed

pytestmark = pytest.mark.slow  # a compiler takes seconds a function

GREEDY = Decoding(0.0)
CHANCE = [
    Decoding(1.0, "gumbel"),
    Decoding(0.7, "gumbel", top_k=20, top_p=0.9),
    Decoding(1.0),
    Decoding(0.7, top_k=20, top_p=0.9),
    Decoding(1.0, top_p=0.9),
    Decoding(1.0, saguaro_constant=0.3),
]
OTHERS = [("qwen3_32b", "qwen3_0.6b"), ("smollm2_135m", "smollm2_135m_draft")]


def setup(method, decoding=GREEDY, **more):
    return Setup(method, Closed(1, output_tokens=16), lookahead=4, decoding=decoding, **more)


def all_compiled(compiler):
    """Return whether everything that is fused was called, and so compiled."""
    return {one.name for one in compiler.distinct()} == compiler.fused


def test_all_passes_and_rules_compile_for_a_large_vocabulary():
    with gpu() as compiler:
        pair = model("llama31_8b"), model("llama32_1b")
        prepared(setup(Ssd()), *pair)
        for decoding in CHANCE[1::2]:  # of each pair of rules the one with more of them
            prepared(setup(Speculative(), decoding), *pair)
        prepared(setup(Autoregressive(), Decoding(1.0)), *pair)  # nothing is drafted
        assert all_compiled(compiler)
        assert kernels_a_layer(compiler) <= 9


def test_so_they_do_where_a_draft_knows_some_tokens_alone():
    with gpu() as compiler:
        pair = model("tiny_target", "float32"), model("tiny_trimmed_draft", "float32")
        for decoding in (GREEDY, *CHANCE[1:5:2]):
            prepared(setup(Speculative(), decoding), *pair)
        assert all_compiled(compiler)


@pytest.mark.parametrize("pair", OTHERS, ids=lambda pair: pair[0])
def test_so_do_other_kinds_of_layers(pair):
    with gpu() as compiler:
        prepared(setup(Speculative()), *map(model, pair))
        assert all_compiled(compiler)
        assert kernels_a_layer(compiler) <= 9


def test_nothing_is_compiled_twice_for_another_seed_or_in_the_middle_of_a_run():
    with gpu(emitting=False) as compiler:
        pair = model("tiny_target"), model("tiny_draft")
        for method, decoding in ((Ssd(), GREEDY), *((Speculative(), one) for one in CHANCE[:3:2])):
            before = len(compiler.asked)
            prepared(setup(method, decoding), *pair)
            first = compiler.asked[before:]
            assert len(set(map(id, first))) == len(first) > 0
            assert len(decode(setup(method, decoding, seed=1), *pair).rounds)
            assert len(compiler.asked) == before + len(first)
