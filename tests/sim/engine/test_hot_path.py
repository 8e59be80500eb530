import sys
from dataclasses import replace

import pytest

from ssdsim.bench import SETUP, main, plan, settings, sized
from ssdsim.engine.exact_expectation import expect
from ssdsim.engine.simulation import Simulation
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.workloads.closed import Closed

# Python functions called in a simulated round of one row: deterministic, unlike seconds.
MOST = {
    "K=7, F=3, batch 1": 48,
    "batch 16": 20,
    "tree.widths=[2,2]": 71,
    "profile=demo policy=topk_outcomes": 76,
    "acceptance=recorded": 58,
}
POOLED = {Speculative("own"): 57, Ssd(): 63}
"""Where three targets share a draft, whose queue is noted."""


def calls_a_round(setup):
    simulation, calls = Simulation(setup), 0

    def count(_frame, event, _argument):
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        simulation.run()
    finally:
        sys.setprofile(None)
    return calls / len(simulation.recorder.rounds)


@pytest.mark.parametrize(("name", "most"), MOST.items())
def test_a_round_takes_few_calls(name, most):
    setup = sized(dict(settings())[name], 4000)
    calls_a_round(replace(setup, seed=1))  # what is looked up is there
    assert calls_a_round(setup) < most


@pytest.mark.parametrize(("method", "most"), POOLED.items(), ids=str)
def test_so_does_one_that_queues_for_a_draft(method, most):
    shared = replace(SETUP, method=method, workload=Closed(12, 0, 400), replicas=3, draft_pool=1)
    calls_a_round(replace(shared, seed=1))
    assert calls_a_round(shared) < most


@pytest.mark.parametrize("arguments", [["--repeats", "0"], ["--tokens", "-1"]])
def test_counts_below_1_are_refused_before_anything_is_measured(arguments, capsys, monkeypatch):
    monkeypatch.setattr("ssdsim.bench.settings", lambda: pytest.fail("it went on"))
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert arguments[0].strip("-") in said
    assert len(said.splitlines()) == 1


def test_the_bench_says_what_it_does(capsys):
    with pytest.raises(SystemExit) as end:
        plan(["--help"])
    assert end.value.code == 0
    assert "--repeats" in capsys.readouterr().out


def test_an_expectation_opens_its_source_once():
    opened = []

    class Counted(type(SETUP.acceptance)):
        def open(self, *arguments):
            opened.append(1)
            return super().open(*arguments)

    setup = replace(SETUP, acceptance=Counted())
    assert expect(setup) == expect(replace(setup, batch=1, seed=3))
    assert len(opened) == 1
