"""From what was observed to a profile, and what a simulation of it says."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from engine_writers import prompt_logprobs, vllm_metrics
from logged_rounds import Logged

import ssdsim
from ssdsim.acceptance.trace_file import read_trace
from ssdsim.engine.exact_expectation import expect
from ssdsim.engine.rank_range import BEST, NOTHING, ORACLE, VAIN, WORST, rank_range
from ssdsim.engine.simulation import evaluate, simulate
from ssdsim.errors import ConfigError
from ssdsim.methods.speculative import Speculative
from ssdsim.observe.profile import place, write_profile
from ssdsim.observe.reading import observe

SUPPORT = Path(__file__).parents[2] / "support"
LOGS = SUPPORT / "engine_logs"
METRICS = [str(LOGS / f"vllm_metrics_t{at}.prom") for at in (0, 60)]


pytestmark = pytest.mark.usefixtures("traces")


def setup_of(files, *words, **options):
    write_profile(observe([str(path) for path in files]), "mine", **options)
    return ssdsim.setup("profile=mine", *words)


# What a profile says.


def test_a_profile_simulates_rounds_as_long_and_as_fruitful_as_those_observed():
    setup = setup_of(METRICS, "method=speculative", "lookahead=3", "batch=16")
    found = expect(setup)
    assert found.acceptance_length == pytest.approx(2.59, rel=1e-4)
    assert found.seconds_per_round == pytest.approx(0.020, rel=1e-3)


def test_its_head_says_where_numbers_are_from_and_what_was_assumed(traces):
    setup_of(METRICS)
    head = (traces / "mine" / "profile.yaml").read_text()
    for said in (
        "50,000 rounds",
        "assumed, 10% of a pass",
        "vllm_metrics_t60.prom",
        "SSD gives a range",
    ):
        assert said in head
    assert str(LOGS) not in head


def test_a_measured_draft_step_takes_the_place_of_the_assumed_one():
    setup = setup_of(METRICS, "method=speculative", "lookahead=3", draft_step=0.002)
    assert setup.machine.draft.seconds("step", 1, 1, 0) == 0.002
    assert setup.machine.target.seconds("verify", 1, 4, 0) == pytest.approx(0.020 - 3 * 0.002)


def test_the_ssd_engines_log_becomes_hits_at_its_own_rate():
    setup = setup_of([LOGS / "ssd_engine.log"], "policy=uniform_fanout", "policy.fanout=3")
    found = expect(setup)
    assert found.hit_rate == pytest.approx(0.8, abs=0.01)
    assert found.acceptance_length_on_hit == pytest.approx(4.35, rel=0.01)
    assert found.acceptance_length_on_miss == pytest.approx(1.0, rel=0.01)


def test_costs_alone_make_no_profile_and_costs_beside_rounds_do():
    with pytest.raises(ConfigError, match="tells anything of acceptance"):
        setup_of([LOGS / "measured_cost.csv"])
    setup = setup_of([LOGS / "measured_cost.csv", LOGS / "trace_rounds.csv"], "batch=16")
    own = setup.machine.target.seconds("verify", 16, 16, 0)
    assert own == pytest.approx(0.0084, rel=0.03)


@pytest.mark.parametrize("name", ["demo", "two_cores"])
def test_a_profile_of_the_project_or_of_a_measurement_is_not_replaced(name, traces):
    if name == "two_cores":
        (traces / name).mkdir(parents=True)
        (traces / name / "profile.yaml").write_text("# Measured by python -m ssdreal.profile\n")
    with pytest.raises(ConfigError, match=r"--name=.*another name"):
        place(name)


def test_requests_come_as_the_benchmark_sent_them(traces):
    setup_of([LOGS / "vllm_bench_serve_detailed.json"])
    path = traces / "mine" / "requests.csv"
    words = ("acceptance=iid", "latency=constant", "workload=trace", f"workload.path={path}")
    requests = ssdsim.setup(*words).workload.requests(0)
    assert [(r.arrival, r.prompt_tokens, r.output_tokens) for r in requests] == [
        (0.0, 100, 8),
        (0.25, 200, 6),
    ]


def test_one_that_was_observed_is_observed_anew():
    setup_of(METRICS)
    setup_of([LOGS / "vllm_server.log"])


# Recorded acceptances of others.


def _kind(row):
    return row["dataset"], row["method"]


def _name(row):
    return "-".join((*_kind(row), row["k"]))


def bench_rows():
    file = SUPPORT / "reference" / "specdecode_bench_llama8b_acceptance.csv"
    lines = [line for line in file.read_text().splitlines() if line[:1] != "#"]
    return list(csv.DictReader(lines))


def as_metrics(row, path):
    """Write a row as the counters that would have led to it."""
    rounds, rates = int(row["rounds"]), [float(p) for p in row["p_1..p_k"].split()]
    name = "vllm:spec_decode_num"
    lines = [
        f"{name}_drafts_total {rounds}.0",
        f"{name}_draft_tokens_total {rounds * len(rates)}.0",
        f"{name}_accepted_tokens_total {rounds * sum(rates)}",
        *(
            f'{name}_accepted_tokens_per_pos_total{{position="{j}"}} {rounds * p}'
            for j, p in enumerate(rates)
        ),
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def recorded(row, tmp_path, *words):
    file = as_metrics(row, tmp_path / "metrics.prom")
    lookahead = f"lookahead={row['k']}"
    return setup_of([file], "method=speculative", "latency=constant", lookahead, *words)


@pytest.mark.parametrize("row", bench_rows(), ids=_name)
def test_chains_from_rates_by_position_are_as_long_as_those_recorded(row, tmp_path):
    expected = expect(recorded(row, tmp_path)).acceptance_length
    assert expected == pytest.approx(float(row["tau"]), rel=0.001)


@pytest.mark.parametrize("row", bench_rows(), ids=_name)
def test_rates_at_one_lookahead_tell_those_at_another(row, tmp_path):
    longest = next(r for r in bench_rows() if _kind(r) == _kind(row) and r["k"] == "7")
    setup = replace(recorded(longest, tmp_path), lookahead=int(row["k"]))
    within = 0.006 if row["method"] == "ngram" else 0.03  # a model drafts worse the further it is
    assert expect(setup).acceptance_length == pytest.approx(float(row["tau"]), rel=within)


@pytest.mark.slow
@pytest.mark.parametrize("row", bench_rows(), ids=_name)
def test_simulated_chains_are_as_long_as_those_recorded(row, tmp_path):
    words = ("workload.prompts=200", "workload.output_tokens=400")
    found = evaluate(recorded(row, tmp_path, *words)).metrics["acceptance_length"]
    assert found == pytest.approx(float(row["tau"]), rel=0.01)


# What no log tells, and what scores do.

TWO_CORES = ("profile=two_cores", "lookahead=3", "policy=uniform_fanout", "policy.fanout=3")


@pytest.fixture(scope="module")
def truth():
    """What SSD makes on two cores, greedy, by the trace with all ranks."""
    return ssdsim.setup(*TWO_CORES, "method.on_outcome=prune")


def reduced(truth, folder):
    """Return the truth with no more of acceptance than vLLM's counters tell."""
    run = simulate(replace(truth, method=Speculative()))
    mine = setup_of(vllm_metrics(Logged.of(run, 3), folder))
    read = round(run.sequences["prompt_tokens"].mean())
    workload = replace(truth.workload, prompts=240, prompt_tokens=read)
    return replace(truth, acceptance=mine.acceptance, workload=workload)


def test_the_range_of_what_a_log_tells_contains_the_truth(truth, tmp_path):
    ends = rank_range(reduced(truth, tmp_path))
    speed = {name: run.metrics["tokens_per_s"] for name, run in ends.items()}
    own = evaluate(truth).metrics["tokens_per_s"]
    assert min(speed[NOTHING], speed[VAIN]) < own < speed[ORACLE]
    assert speed[VAIN] < speed[WORST] < speed[BEST] < speed[ORACLE]


@pytest.mark.parametrize("lookahead", [1, 2, 3, 5, 7])
def test_counters_at_one_lookahead_tell_recorded_texts_at_another(truth, tmp_path, lookahead):
    both = (reduced(truth, tmp_path), truth)
    found, own = (
        expect(replace(setup, method=Speculative(), lookahead=lookahead)).acceptance_length
        for setup in both
    )
    assert found == pytest.approx(own, rel=0.01)


def test_scores_collapse_the_range_to_the_truth(truth, tmp_path):
    trace = read_trace("traces/two_cores")
    rows = trace.at(0.0, "maximal")
    columns = {name: trace.columns[name][rows] for name in ("prompt", "token", "rank")}
    names = list(dict.fromkeys(columns["prompt"].tolist()))
    texts = [
        (trace.prompts[n], columns["token"][own].tolist(), (columns["rank"][own] + 1).tolist())
        for n in names
        for own in [np.flatnonzero(columns["prompt"] == n)]
    ]
    scores = prompt_logprobs(texts, tmp_path / "scores.jsonl")
    mine = setup_of([*METRICS, scores])
    same = replace(truth, acceptance=mine.acceptance)
    found, own = (evaluate(setup).metrics for setup in (same, truth))
    assert found["tokens_per_s"] == pytest.approx(own["tokens_per_s"], rel=1e-9)
    assert found["hit_rate"] == pytest.approx(own["hit_rate"], rel=1e-9)
    assert rank_range(same) == {}
