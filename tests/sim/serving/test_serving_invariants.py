"""What holds in every run of requests, over all methods."""

from dataclasses import replace

import pytest
from held_blocks import little_holds_of_blocks, simulated
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from scripted import machine
from served import requests_hold
from timelines_of_requests import Told
from variants import fits, methods

from ssdsim import Setup, simulate
from ssdsim.acceptance.iid import Iid
from ssdsim.options.plugins import plugins
from ssdsim.serving.continuous import Continuous
from ssdsim.serving.slots import Slots
from ssdsim.workloads.base import Request
from ssdsim.workloads.closed import Closed
from ssdsim.workloads.lengths import Geometric
from ssdsim.workloads.poisson import Poisson

METHODS = methods()
ROUTERS = [kind() for kind in plugins("router").values()]


@st.composite
def setups(draw):
    method = draw(st.sampled_from(METHODS))
    several = method.servers > 1
    tokens = draw(st.integers(1, 20))
    workload = Poisson(
        draw(st.integers(1, 14)),
        rate=draw(st.floats(0.02, 5)),
        prompt_tokens=draw(st.sampled_from([0, 3, 30, Geometric(9.0)])),
        output_tokens=draw(st.sampled_from([1, tokens, Geometric(6.0)])),
    )
    clients = {"concurrency": draw(st.integers(1, 5)), "think_time": draw(st.sampled_from([0, 2]))}
    beginnings = st.lists(st.integers(0, 2), max_size=3)
    requests = tuple(
        Request(float(at), draw(st.integers(1, 30)), tokens, tuple(draw(beginnings)), 0, 9)
        for at in range(draw(st.integers(1, 9)))
    )
    begun = Told(len(requests), requests)
    closed = Closed(draw(st.integers(1, 9)), draw(st.integers(0, 40)), tokens, 0.5)
    states = draw(st.sampled_from([0, 0, 1]))
    serving = Continuous(
        max_num_seqs=draw(st.integers(1, 5)),
        max_num_batched_tokens=draw(st.integers(60, 200)),
        enable_chunked_prefill=not several and draw(st.booleans()),
        enable_prefix_caching=not states and draw(st.booleans()),
        long_prefill_token_threshold=draw(st.sampled_from([0, 7])),
        block_size=draw(st.integers(1, 16)),
        num_gpu_blocks=draw(st.sampled_from([None, 12, 40, 90])),
        state_blocks=states,
        prompt_samples=draw(st.booleans()),
        async_scheduling=draw(st.booleans()),
    )
    return Setup(
        method,
        Iid(alpha=draw(st.floats(0, 1))),
        machine(prefill=draw(st.sampled_from([0.0, 0.4]))),
        draw(st.sampled_from([workload, replace(workload, **clients), begun, begun, closed])),
        batch=draw(st.integers(1, 4)),
        lookahead=draw(st.integers(0, 4)),
        seed=draw(st.integers(0, 99)),
        serving=draw(st.sampled_from([serving, serving, Slots()])),
        replicas=draw(st.integers(1, 3)),
        router=draw(st.sampled_from(ROUTERS)),
    )


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(setups())
def test_invariants(setup):
    assume(setup.serves and fits(setup))
    run, held = simulated(setup)
    requests_hold(setup, run)
    little_holds_of_blocks(run, held)


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_every_method_serves_requests_that_have_to_make_room_for_each_other(method):
    chunked = method.servers == 1
    serving = Continuous(num_gpu_blocks=40, block_size=4, enable_chunked_prefill=chunked)
    workload = Poisson(12, rate=3.0, prompt_tokens=30, output_tokens=25)
    setup = Setup(method, Iid(), machine(prefill=0.1), workload, lookahead=3, serving=serving)
    run = simulate(setup)
    requests_hold(setup, run)
    whole = method.pass_width(3, 25) >= 25  # it has room for all of a text from the start
    assert whole != (run.metrics["preemptions"] > 0)
    assert run.metrics["kv_usage_max"] > 0.8
    again = simulate(setup)
    assert again.tables == run.tables
    assert simulate(replace(setup, seed=1)).tables["rounds"] != run.tables["rounds"]
