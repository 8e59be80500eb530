"""Continuous batching of real models: who makes room for others ends with the very same tokens."""

from dataclasses import replace

import pytest
from inline_crew import decode, outputs
from served import requests_hold
from static_servers import DIRECT
from tiny_runs import AHEAD, GREEDY, GUMBEL, METHODS, MODELS, K, alone, prompts

from ssdreal.executor.setup import Setup
from ssdreal.executor.simulated_twin import simulated_twin
from ssdreal.serving.reader import Reader
from ssdsim.acceptance.iid import Iid
from ssdsim.errors import ConfigError
from ssdsim.latency.constant import Constant
from ssdsim.latency.machine import Machine
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.self_speculative import SelfSpeculative
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.serving.continuous import Continuous
from ssdsim.serving.slots import Slots
from ssdsim.trees.widths import Widths
from ssdsim.workloads.closed import Closed
from ssdsim.workloads.poisson import Poisson

CLOSED = Closed(3, output_tokens=20)
WAYS = [("bfloat16", GREEDY), ("float32", GUMBEL[0])]
WHOLE = Continuous(max_num_seqs=3, enable_chunked_prefill=False, prompt_samples=False)
NARROW = replace(WHOLE, block_size=4, num_gpu_blocks=15)
SOME = [Autoregressive(), METHODS[0], *METHODS[2:7:2], METHODS[-1], *AHEAD[::2]]
OWN = SelfSpeculative(skipped_attention=(1,), skipped_mlp=(1,))


def run_of(method, decoding=GREEDY, dtype="float32", serving=NARROW, workload=CLOSED, **more):
    faults = {"servers": more.pop("servers")} if "servers" in more else {}
    setup = Setup(
        method,
        workload,
        lookahead=K,
        decoding=decoding,
        seed=3,
        width=K + 1 if isinstance(method, Autoregressive) else None,
        serving=serving,
        **more,
    )
    models = MODELS("tiny_target", dtype), MODELS("tiny_draft", dtype)
    return setup, decode(setup, *models, prompts(), **faults)[0]


def preempted(run):
    assert run.metrics["preemptions"] == run.sequences.preempted.sum()
    return run.metrics["preemptions"]


@pytest.mark.parametrize(("dtype", "decoding"), WAYS)
@pytest.mark.parametrize("method", SOME, ids=str)
def test_a_preempted_sequence_has_its_own_tokens(method, dtype, decoding):
    _, run = run_of(method, decoding, dtype)
    assert preempted(run)
    assert outputs(run) == alone(dtype, 3, decoding)


@pytest.mark.parametrize("method", [Autoregressive(), Speculative("own"), Ssd()], ids=str)
def test_so_it_is_in_captured_passes(method):
    _, run = run_of(method, GUMBEL[0], servers=DIRECT)
    assert preempted(run)
    assert outputs(run) == outputs(run_of(method, GUMBEL[0], serving=WHOLE, servers=DIRECT)[1])


def test_who_comes_does_not_wait_for_tokens_decoded_together():
    """A captured target that decodes alone is told several at a time, but not where some come."""
    coming = Poisson(3, 300.0, output_tokens=20)
    _, run = run_of(Autoregressive(), serving=Slots(), workload=coming, batch=3, servers=DIRECT)
    assert outputs(run) == outputs(run_of(Autoregressive(), serving=WHOLE, servers=DIRECT)[1])
    assert (run.sequences.admitted < run.sequences.finish.min()).all()


def test_so_it_is_behind_token_trees():
    tree = Widths((2, 1, 1, 1))
    _, run = run_of(Ssd(), tree=tree, dtype="bfloat16")
    assert preempted(run)
    assert outputs(run) == outputs(run_of(Ssd(), tree=tree, dtype="bfloat16", serving=WHOLE)[1])


def test_so_it_is_where_the_target_drafts_for_itself():
    _, run = run_of(OWN)
    assert preempted(run)
    assert outputs(run) == alone("float32", 3, GREEDY)


def test_what_was_decoded_is_read_again_in_passes_of_a_verify_s_shape(monkeypatch):
    """Where passes are wide, other shapes round otherwise."""
    alone_, together = set(), set()
    compute = Reader._pass

    def noting(reader, tokens, *rest, alone=None, **more):
        (together if alone is None else alone_).add(tokens.shape[1])
        return compute(reader, tokens, *rest, alone=alone, **more)

    monkeypatch.setattr(Reader, "_pass", noting)
    assert preempted(run_of(Autoregressive())[1])
    assert together == {K + 1}
    assert alone_ == {len(prompt) - 1 for prompt in prompts()}


@pytest.mark.parametrize("method", [Autoregressive(), Speculative(), Ssd()], ids=str)
@pytest.mark.parametrize("serving", [WHOLE, NARROW, replace(NARROW, max_num_batched_tokens=40)])
def test_what_holds_of_requests_holds(method, serving):
    setup, run = run_of(method, workload=Poisson(3, 500.0, output_tokens=20), serving=serving)
    times = Constant(verify=0.1, step=0.1)
    requests_hold(simulated_twin(setup, Iid(), Machine(times, times)), run)


def test_blocks_are_those_of_texts_and_lookahead():
    _, run = run_of(Speculative(), serving=replace(NARROW, num_gpu_blocks=99))
    longest = [prompt + 20 + K - 1 for prompt in (3, 7, 11)]
    assert run.state.blocks.max() <= sum(-(-tokens // 4) for tokens in longest)
    assert run.metrics["kv_usage_max"] == run.state.blocks.max() / 99


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"enable_chunked_prefill": True}, "enable_chunked_prefill=True: needs false: a real ver"),
        ({"prompt_samples": True}, "prompt_samples=True: needs false: a real prompt's last token"),
        ({"overhead": 0.1}, r"overhead=0\.1: needs 0"),
        ({"num_gpu_blocks": 8}, "num_gpu_blocks=8: needs at least 9: a request of 35 tokens"),
        ({"max_num_batched_tokens": 4}, "max_num_batched_tokens=4: needs at least 5, the tokens"),
        ({"max_num_batched_tokens": 30}, "max_num_batched_tokens=30: needs at least 31 without"),
    ],
)
def test_what_cannot_be_is_refused(change, message):
    with pytest.raises(ConfigError, match=f"serving.{message}"):
        run_of(Speculative(), serving=replace(NARROW, **change))
