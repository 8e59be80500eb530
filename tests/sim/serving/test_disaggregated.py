"""Prompts computed elsewhere, by hand: a verify takes 1, a prompt's pass 2, a hand-off 0.5."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_timelines import moments, served

from ssdsim.errors import ConfigError
from ssdsim.methods.speculative import Speculative
from ssdsim.serving.continuous import Continuous
from ssdsim.serving.prefill_instances import Disaggregated

AWAY = Continuous(disaggregated=Disaggregated(latency=0.5))


def test_the_first_token_comes_with_the_cache_and_holds_nobody_up():
    run = served([0.0, 1.0], AWAY)
    assert moments(run, "first_token") == [2.5, 4.5]
    assert moments(run, "finish") == [4.5, 6.5]
    assert run.spans[run.spans.kind == "prefill"].lane.tolist() == ["prefill", "prefill"]
    assert [device["name"] for device in run.info["devices"]] == ["target", "prefill"]


def test_more_instances_and_a_slower_way():
    two = replace(AWAY, disaggregated=Disaggregated(2, latency=0.5))
    assert moments(served([0.0, 1.0], two), "first_token") == [2.5, 3.5]
    slow = Disaggregated(token_bytes=8.0, bandwidth=4.0)  # two tokens take 4
    run = served([0.0], replace(AWAY, disaggregated=slow))
    assert moments(run, "first_token") == [6.0]


def test_one_pass_computes_the_prompts_that_wait_as_far_as_the_budget_goes():
    run = served([0.0, 0.1, 0.2, 0.3], replace(AWAY, max_num_batched_tokens=4))
    prefills = run.spans[run.spans.kind == "prefill"]
    assert prefills.batch.tolist() == [1, 2, 1]
    assert prefills.start.tolist() == [0.0, 2.0, 4.0]


def test_without_its_token_the_first_round_brings_it_and_drafts_read_the_prompt():
    run = served([0.0], replace(AWAY, prompt_samples=False))
    assert moments(run, "first_token") == [3.5]
    run = served([0.0], AWAY, method=Speculative(), lookahead=1)
    assert run.sequences.tokens.tolist() == [3]


def test_one_token_is_all_that_the_hand_off_brings():
    run = served([0.0, 0.0], AWAY, tokens=1)
    assert moments(run, "finish") == [2.5, 2.5]
    assert not (run.spans.kind == "verify").any()


def test_who_is_preempted_is_computed_anew_where_it_is_decoded():
    run = served([0.0, 0.0], replace(AWAY, block_size=1, num_gpu_blocks=6), tokens=4)
    assert run.sequences.preempted.tolist() == [0, 1]
    assert run.sequences.preempted_at.map(len).tolist() == [0, 1]
    assert run.sequences.resumed_at.map(len).tolist() == [0, 1]  # the hand-off resumes nobody
    assert run.spans[run.spans.kind == "prefill"].lane.tolist() == ["prefill", "target"]


def test_little_holds_of_instances_too():
    run = served([0.0, 0.1, 0.2, 0.3], replace(AWAY, max_num_batched_tokens=4))
    found, metrics, end = run.sequences, run.metrics, run.sequences.finish.max()
    inside = (metrics["waiting_mean"] + metrics["running_mean"]) * end
    assert inside == pytest.approx((found.finish - found.arrival).sum())
    # Passes begin at 0, 2, 4 and take 2; a hand-off 0.5: who waits is who has no pass yet.
    state = run.state[run.state.replica == -1]
    waited = np.dot(state.waiting[:-1], np.diff(state.time))
    assert waited == pytest.approx(0 + 1.9 + 1.8 + 3.7)
    assert np.dot(state.running[:-1], np.diff(state.time)) == pytest.approx(4 * 2.5)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.floats(0, 9), min_size=1, max_size=9).map(sorted),
    st.integers(1, 3),
    st.sampled_from([0.0, 0.5]),
    st.integers(2, 8),
)
def test_littles_law_of_the_instances(arrivals, instances, latency, budget):
    """Each prompt is there from its arrival to its first token, which the hand-off brings."""
    way = Disaggregated(instances, latency)
    run = served(arrivals, replace(AWAY, disaggregated=way, max_num_batched_tokens=budget))
    state, found = run.state[run.state.replica == -1], run.sequences
    seconds = np.diff(state.time)
    there = (state.waiting + state.running)[:-1] @ seconds
    assert there == pytest.approx((found.first_token - found.arrival).sum())
    passes = run.spans[run.spans.lane.str.startswith("prefill")]
    read = (passes.batch * (passes.end - passes.start)).sum() + latency * len(arrivals)
    assert state.running[:-1] @ seconds == pytest.approx(read)
    working = np.array([((passes.start <= at) & (passes.end > at)).sum() for at in state.time])
    assert seconds[(state.waiting[:-1] > 0) & (working[:-1] < instances)].sum() <= 1e-9


@pytest.mark.parametrize("wrong", [{"instances": 0}, {"latency": -1.0}, {"bandwidth": 0.0}])
def test_what_no_stage_can_be_is_refused(wrong):
    with pytest.raises(ConfigError, match=r"serving\.disaggregated\."):
        Disaggregated(**wrong)
