"""A simulated run, written as each engine logs it, is imported as it was."""

from dataclasses import replace

import pytest
from engine_writers import TELL_NOTHING_OF_ROUNDS, WITHOUT_TIMES, WRITERS, Logged
from scripted import machine

from ssdsim import Setup, simulate
from ssdsim.acceptance.by_depth import ByDepth
from ssdsim.methods.speculative import Speculative
from ssdsim.observe.reading import formats, observe
from ssdsim.workloads.closed import Closed

SETUP = Setup(Speculative(), ByDepth((0.8, 0.7, 0.6, 0.5)), machine(), lookahead=4)


@pytest.fixture(scope="module", params=[1, 4])
def logged(request):
    workload = Closed(prompts=8, prompt_tokens=10, output_tokens=200)
    setup = replace(SETUP, workload=workload, batch=request.param)
    return Logged(simulate(setup), 4, request.param)


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
