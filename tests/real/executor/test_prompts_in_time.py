"""Prompts that come in time: the same tokens, whoever else is decoded meanwhile."""

from dataclasses import replace

import pytest
from enumerable import random_pair
from inline_crew import decode, outputs
from pages import columns_of
from served import little_holds
from tiny_runs import prompts

from ssdreal.executor.setup import Setup
from ssdreal.executor.simulated_twin import simulated_twin
from ssdreal.executor.workload import Workload
from ssdsim import simulate
from ssdsim.acceptance.iid import Iid
from ssdsim.errors import ConfigError
from ssdsim.latency.constant import Constant
from ssdsim.latency.machine import Machine
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.page.columns import TICK
from ssdsim.page.pack import packed
from ssdsim.run.trace import load_run
from ssdsim.sampling.settings import Decoding

PAIR = random_pair(4)
TEXTS = prompts(5, PAIR.vocabulary)
SAMPLED = Decoding(temperature=1.0, coupling="gumbel")


def decoded(method, workload, batch=2, decoding=SAMPLED):
    setup = Setup(method, workload, batch=batch, lookahead=2, decoding=decoding, seed=3)
    return setup, decode(setup, PAIR.target, PAIR.draft, TEXTS)[0]


@pytest.mark.parametrize("method", [Autoregressive(), Speculative(), Ssd()], ids=str)
def test_arrivals_by_the_wall_clock(method, tmp_path):
    closed = Workload(prompts=5, output_tokens=8)
    setup, run = decoded(method, replace(closed, rate=60.0))
    expected = setup.workload.arrivals(setup.seed)
    found = run.sequences
    assert found.arrival.tolist() == expected
    assert 0 < expected[0] < expected[-1]
    assert (found.admitted >= found.arrival).all()
    assert (found.finish >= found.first_token).all()
    assert run.spans.start.min() >= expected[0]  # nobody is there before
    assert outputs(run) == outputs(decoded(method, closed)[1])
    little_holds(run)
    assert run.metrics["ttft_mean"] == pytest.approx((found.first_token - found.arrival).mean())
    run.save(tmp_path)
    assert load_run(tmp_path).state.running.max() <= 2
    page = packed(load_run(tmp_path))
    assert (page["replicas"], page["kv_blocks"]) == (1, None)
    moments = columns_of(page, "requests")
    for name in ("arrival", "admitted", "first_token", "finish"):
        assert moments[name] == pytest.approx(found[name].to_numpy(), abs=TICK)


def test_the_simulated_twin_has_the_same_arrivals():
    setup = Setup(Speculative(), Workload(prompts=4, output_tokens=8, rate=3.0), seed=5)
    times = Constant(verify=0.1, step=0.1)
    twin = simulated_twin(setup, Iid(), Machine(times, times))
    assert simulate(twin).sequences.arrival.tolist() == setup.workload.arrivals(5)
    assert Workload(prompts=2).arrivals(5) == [0.0, 0.0]


def test_a_rate_of_none_is_null():
    with pytest.raises(ConfigError, match=r"workload\.rate=0.* needs a number a second > 0"):
        Workload(rate=0.0)
