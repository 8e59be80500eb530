"""Prompts that come in time: the same tokens, whoever else is decoded meanwhile."""

from dataclasses import replace

import pytest
from enumerable import random_pair
from inline_crew import HERE, InlineCrew, decode, outputs, tasks
from pages import columns_of
from served import little_holds
from tiny_runs import prompts

from ssdreal.executor.execution import Execution
from ssdreal.executor.setup import Setup
from ssdreal.executor.simulated_twin import simulated_twin
from ssdsim import simulate
from ssdsim.acceptance.iid import Iid
from ssdsim.latency.constant import Constant
from ssdsim.latency.machine import Machine
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.page.columns import TICK
from ssdsim.page.pack import packed
from ssdsim.run.trace import load_run
from ssdsim.sampling.settings import Decoding
from ssdsim.workloads.closed import Closed
from ssdsim.workloads.gamma import Gamma
from ssdsim.workloads.on_off import OnOff
from ssdsim.workloads.poisson import Poisson
from ssdsim.workloads.trace import Trace

PAIR = random_pair(4)
TEXTS = prompts(5, PAIR.vocabulary)
SAMPLED = Decoding(temperature=1.0, coupling="gumbel")
ALL_THERE = Closed(5, output_tokens=8)


def decoded(method, workload, batch=2, decoding=SAMPLED):
    setup = Setup(method, workload, batch=batch, lookahead=2, decoding=decoding, seed=3)
    return setup, decode(setup, PAIR.target, PAIR.draft, TEXTS)[0]


def arrivals(workload, seed):
    return [request.arrival for request in workload.requests(seed)]


@pytest.mark.parametrize("method", [Autoregressive(), Speculative(), Ssd()], ids=str)
def test_arrivals_by_the_wall_clock(method, tmp_path):
    setup, run = decoded(method, Poisson(5, 60.0, output_tokens=8))
    expected = arrivals(setup.workload, setup.seed)
    found = run.sequences
    assert found.arrival.tolist() == expected
    assert 0 < expected[0] < expected[-1]
    assert (found.admitted >= found.arrival).all()
    assert (found.finish >= found.first_token).all()
    assert run.spans.start.min() >= expected[0]  # nobody is there before
    assert outputs(run) == outputs(decoded(method, ALL_THERE)[1])
    little_holds(run)
    run.save(tmp_path)
    assert load_run(tmp_path).state.running.max() <= 2
    page = packed(load_run(tmp_path))
    assert (page["replicas"], page["kv_blocks"]) == (1, None)
    moments = columns_of(page, "requests")
    for name in ("arrival", "admitted", "first_token", "finish"):
        assert moments[name] == pytest.approx(found[name].to_numpy(), abs=TICK)


@pytest.mark.parametrize("kind", [Poisson, Gamma, OnOff])
def test_the_simulated_twin_has_the_same_arrivals(kind):
    setup = Setup(Speculative(), kind(4, 40.0, output_tokens=8), lookahead=2, seed=5)
    times = Constant(verify=0.1, step=0.1)
    twin = simulate(simulated_twin(setup, Iid(), Machine(times, times)))
    real = decode(setup, PAIR.target, PAIR.draft, TEXTS)[0]
    assert real.sequences.arrival.tolist() == twin.sequences.arrival.tolist()


def test_a_trace_has_lengths_too(tmp_path):
    path = tmp_path / "requests.csv"
    path.write_text("arrival,prompt_tokens,output_tokens\n0,9,3\n0.01,99,7\n0.02,9,1\n")
    _, run = decoded(Ssd(), Trace(path=str(path)))
    assert run.sequences.tokens.tolist() == [3, 7, 1]
    assert run.sequences.arrival.tolist() == [0, 0.01, 0.02]
    whole = outputs(decoded(Ssd(), ALL_THERE)[1])
    assert outputs(run) == [output[:most] for output, most in zip(whole, (3, 7, 1), strict=False)]


def test_clients_send_the_next_prompt_when_one_is_finished():
    _, run = decoded(Ssd(), replace(ALL_THERE, concurrency=1))
    found = run.sequences
    assert (found.arrival[1:].to_numpy() == found.finish[:-1].to_numpy()).all()


def test_latencies_are_those_of_the_tokens():
    """Metrics are recomputed from sequences, rounds and spans alone."""
    _, run = decoded(Speculative(), Poisson(5, 200.0, output_tokens=8))
    found, rounds = run.sequences, run.rounds
    first = rounds.groupby("seq").end.min()
    assert found.first_token.tolist() == first.tolist()
    assert found.finish.tolist() == rounds.groupby("seq").end.max().tolist()
    gaps = rounds.groupby("seq").end.diff().dropna()
    means = {
        "ttft": found.first_token - found.arrival,
        "queueing": found.admitted - found.arrival,
        "e2e": found.finish - found.arrival,
        "tpot": (found.finish - found.first_token) / (found.tokens - 1),
        "itl": gaps,
    }
    for name, values in means.items():
        assert run.metrics[f"{name}_mean"] == pytest.approx(values.mean()), name
    assert (found.admitted > found.arrival).any()  # somebody had to wait for a slot
    prefills = run.spans[run.spans.kind == "prefill"].start
    assert all((abs(prefills - admitted) < 0.01).any() for admitted in found.admitted)


def test_what_is_interrupted_says_who_was_there():
    def stop(_):
        raise KeyboardInterrupt

    setup = Setup(Ssd(), Poisson(5, 500.0, output_tokens=8), batch=2, lookahead=2)
    crew = InlineCrew(PAIR.target, PAIR.draft)
    running = Execution(setup, lambda: crew, HERE, tasks(TEXTS), retired=stop)
    with pytest.raises(KeyboardInterrupt):
        running.run()
    run = running.result()
    assert not run.info["complete"]
    assert run.sequences.reason.tolist().count("cut") == 4
    assert run.state.running.max() == 2
    assert run.metrics["ttft_mean"] > 0
