"""A simulated run, written as each engine logs it, is imported as it was."""

from dataclasses import replace

import pytest
from engine_writers import TELL_NOTHING_OF_ROUNDS, WITHOUT_TIMES, WRITERS
from hypothesis import given, settings
from hypothesis import strategies as st
from logged_rounds import Logged
from scripted import machine

from ssdsim import Setup, simulate
from ssdsim.acceptance.by_depth import ByDepth
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.observe.reading import formats, observe
from ssdsim.workloads.closed import Closed

SETUP = Setup(Speculative(), ByDepth((0.8, 0.7, 0.6, 0.5)), machine(), lookahead=4)


@pytest.fixture(scope="module", params=[1, 4])
def logged(request):
    workload = Closed(prompts=8, prompt_tokens=10, output_tokens=200)
    setup = replace(SETUP, workload=workload, batch=request.param)
    return Logged.of(simulate(setup), 4, request.param)


def test_every_format_that_tells_of_rounds_has_a_writer():
    assert formats().keys() == WRITERS.keys() | TELL_NOTHING_OF_ROUNDS


@pytest.mark.parametrize("name", WRITERS)
def test_what_was_simulated_is_imported(logged, tmp_path, name):
    (found,) = observe([str(path) for path in WRITERS[name](logged, tmp_path)]).found
    assert found.format.key == formats()[name].key
    told = found.told
    assert told.tau == pytest.approx(logged.tau, rel=0.01)
    assert told.lookahead == pytest.approx(4, rel=0.001)
    if told.positions:
        assert told.positions == pytest.approx(logged.positions, abs=0.01)
    if name in WITHOUT_TIMES:
        assert told.round_seconds is None
    elif logged.batch == 1 or name != "trtllm_iter_stats":
        assert told.round_seconds == pytest.approx(logged.round_seconds, rel=0.02)


KNOW_K_BY_CHANCE = {"sglang_log", "sglang_metrics"}
"""By a rate that two K may have."""
METHODS = (Speculative(), Speculative(draft_on="own"), Ssd(), Ssd(on_outcome="truncate"))


@settings(max_examples=15, derandomize=True)
@given(
    method=st.sampled_from(METHODS),
    batch=st.integers(1, 9),
    chances=st.lists(st.floats(0.1, 0.95), min_size=1, max_size=6),
    seed=st.integers(0, 99),
)
def test_any_run_of_whole_drafts_is_imported(tmp_path_factory, method, batch, chances, seed):
    K = len(chances)
    workload = Closed(prompts=batch + 3, prompt_tokens=10, output_tokens=60)
    acceptance = ByDepth(tuple(chances))
    setup = replace(SETUP, method=method, acceptance=acceptance, workload=workload)
    run = simulate(replace(setup, lookahead=K, batch=batch, seed=seed))
    log = Logged.of(run, K, batch)
    for name, write in WRITERS.items():
        folder = tmp_path_factory.mktemp(name)
        told = observe([str(path) for path in write(log, folder)]).told
        assert told.tau == pytest.approx(log.tau, rel=0.01), name
        reached = log.positions[: len(told.positions)]
        assert told.positions == pytest.approx(reached, abs=0.01), name
        if name == "spec_bench":  # K is the longest that was accepted
            assert (told.lookahead or 0) <= K
        elif name not in KNOW_K_BY_CHANCE or told.lookahead:
            assert told.lookahead == pytest.approx(K, rel=0.02), name
