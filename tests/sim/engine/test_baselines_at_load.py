"""Where requests arrive in time, AR and SD serve the same, and their times are compared."""

from dataclasses import replace

import pytest
from scripted import machine

from ssdsim import Setup
from ssdsim.acceptance.iid import Iid
from ssdsim.engine import baselines
from ssdsim.engine.baselines import compare
from ssdsim.engine.lookahead_at_load import better_at_load
from ssdsim.engine.simulation import evaluate
from ssdsim.latency.machine import Machine
from ssdsim.latency.step_costs import StepCost, StepCosts
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.run.no_gain import no_gain
from ssdsim.serving.continuous import Continuous
from ssdsim.workloads.closed import Closed
from ssdsim.workloads.poisson import Poisson

# Nobody meets anybody: a request takes its prompt's pass, 2, and its rounds.
RARE = Setup(
    Ssd(),
    Iid(alpha=1.0),
    machine(verify=1.0, step=0.25, prefill=2.0),
    Poisson(6, rate=1e-4, output_tokens=5),
    lookahead=2,
)


def compared(setup):
    run = evaluate(setup)
    return run, compare(run, setup)


def loaded(rate, method=Speculative(), lookahead=1):
    """Return a setup whose verifies cost by the token, so that a load wants a shorter lookahead."""
    verify = StepCost(fixed=1.0, token=0.1)
    target = StepCosts({"verify": verify, "prefill": StepCost()})
    draft = StepCosts({"step": StepCost(fixed=0.01), "fill": StepCost(), "prefill": StepCost()})
    workload = Poisson(120, rate=rate, prompt_tokens=0, output_tokens=30)
    shared = {"lookahead": lookahead, "serving": Continuous()}
    return Setup(method, Iid(alpha=0.7), Machine(target, draft), workload, **shared)


def test_a_speedup_is_how_much_sooner_requests_are_done():
    run, runs = compared(RARE)
    seconds = {name: one.metrics["e2e_mean"] for name, one in runs.items()}
    # The best K is 4: a prompt of target and draft, four steps of .25, one verify.
    assert seconds["ar"] == pytest.approx(2 + 5)
    assert seconds["sd"] == pytest.approx(4 + 1 + 1)
    assert run.metrics["speedup_over_ar"] == pytest.approx(7 / run.metrics["e2e_mean"])
    assert run.metrics["speedup_over_sd"] == pytest.approx(6 / run.metrics["e2e_mean"])
    assert runs["sd"].metrics["speedup_over_ar"] == pytest.approx(7 / 6)
    told = run.info["baselines"]["sd"]
    assert (told["by"], told["lookahead"], told["e2e_mean"]) == ("e2e_mean", 4, seconds["sd"])


def test_where_prompts_wait_from_the_start_tokens_a_second_are_compared():
    run, runs = compared(replace(RARE, workload=Closed(4, 0, 5)))
    speeds = [one.metrics["tokens_per_s"] for one in (run, runs["ar"])]
    assert run.metrics["speedup_over_ar"] == pytest.approx(speeds[0] / speeds[1])
    assert run.info["baselines"]["ar"]["by"] == "tokens_per_s"


def test_baselines_serve_the_same_requests():
    setup = loaded(0.5)
    _, runs = compared(setup)
    alone = evaluate(replace(setup, method=Autoregressive()))
    assert runs["ar"].metrics["e2e_p99"] == alone.metrics["e2e_p99"]
    best = runs["sd"].info["config"]["lookahead"]
    same = evaluate(replace(setup, lookahead=best))
    assert runs["sd"].metrics["e2e_p99"] == same.metrics["e2e_p99"]


def test_the_best_lookahead_is_that_of_the_load():
    found = [compared(loaded(rate))[1]["sd"].info["config"]["lookahead"] for rate in (0.01, 0.7)]
    assert found[0] > found[1]


def test_a_much_better_lookahead_for_a_load_is_told():
    far = loaded(0.7, lookahead=12)
    run, runs = compared(far)
    better = better_at_load(far, run)
    assert better is not None
    assert better.lookahead == runs["sd"].info["config"]["lookahead"]
    assert better.own_over_ar == run.metrics["speedup_over_ar"]
    assert better.over_ar == pytest.approx(runs["sd"].metrics["speedup_over_ar"])
    best = replace(far, lookahead=better.lookahead)
    assert better_at_load(best, compared(best)[0]) is None
    plain = replace(far, method=Autoregressive())
    assert better_at_load(plain, compared(plain)[0]) is None


def test_drafts_of_a_pool_have_baselines_without_it():
    setup = replace(RARE, method=Speculative("own"), draft_pool=1, replicas=2)
    run, runs = compared(setup)
    assert {"ar", "sd"} <= runs.keys()
    assert [device["name"] for device in runs["sd"].info["devices"]] == ["target", "target1"]
    assert run.metrics["speedup_over_same_devices"] is None


def test_very_many_requests_have_none(monkeypatch):
    monkeypatch.setattr(baselines, "MOST_TOKENS", 29)  # of six times five
    run, runs = compared(RARE)
    assert not runs
    assert run.metrics["speedup_over_sd"] is None
    assert baselines.prompts_of(RARE, 29) == 5
    assert better_at_load(RARE, run) is None


def test_rounds_do_not_tell_why_a_queue_is_long():
    run, _ = compared(replace(RARE, lookahead=40))
    assert run.metrics["speedup_over_sd"] < 1
    assert no_gain(run) == ""
