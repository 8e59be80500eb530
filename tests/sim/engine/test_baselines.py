"""Baselines are simulated once in a process for all runs that have the same, and no tables made."""

from dataclasses import replace

import pytest

from ssdsim.acceptance.language_model import LanguageModel, record
from ssdsim.acceptance.recorded import Recorded
from ssdsim.bench import SETUP
from ssdsim.command.composing import setup as composed
from ssdsim.engine import baselines
from ssdsim.engine.baselines import compare
from ssdsim.engine.simulation import evaluate, simulate
from ssdsim.methods.pearl import Pearl
from ssdsim.methods.speculative import Speculative
from ssdsim.policies.topk_outcomes import TopkOutcomes
from ssdsim.sampling.settings import Sampling
from ssdsim.workloads.closed import Closed

SMALL = replace(SETUP, workload=Closed(prompts=4, output_tokens=32))


@pytest.fixture(autouse=True)
def simulated(monkeypatch):
    """Forget all baselines, and list those that are simulated."""
    forget()
    found = []
    monkeypatch.setattr(baselines, "evaluate", lambda setup: found.append(setup) or evaluate(setup))
    yield found
    forget()


def forget():
    for known in (baselines._known_autoregressive, baselines._known_speculative):
        known.cache_clear()


def compared(setup):
    """Return a run's metrics after it was compared, and those of its baselines."""
    run = evaluate(setup)
    runs = compare(run, setup)
    return run.metrics, run.info["baselines"], {name: one.metrics for name, one in runs.items()}


def test_runs_that_differ_in_policy_and_lookahead_share_them(simulated):
    compared(SMALL)
    first = len(simulated)
    assert first > 4
    for change in ({"lookahead": 3}, {"policy": TopkOutcomes()}, {"method": Pearl()}):
        compared(replace(SMALL, **change))
    assert len(simulated) == first
    compared(replace(SMALL, seed=1))
    assert len(simulated) >= 2 * first - 3


def test_equal_settings_that_were_composed_anew_share_them(simulated):
    overrides = ("profile=h100x4_llama70b_1b", "workload.prompts=2", "workload.output_tokens=16")
    compared(composed(*overrides))
    first = len(simulated)
    compared(composed(*overrides, "lookahead=2"))
    assert len(simulated) == first


def test_what_is_shared_is_what_would_have_been_simulated():
    own = composed("profile=demo", "workload.prompts=2", "workload.output_tokens=64")
    setups = [own, replace(own, method=Speculative()), replace(own, lookahead=2), own]
    shared = [compared(setup) for setup in setups]
    for setup, found in zip(setups, shared, strict=True):
        forget()
        assert compared(setup) == found


def test_a_trace_that_is_written_anew_is_replayed_anew(tmp_path):
    found = []
    for seed in range(2):
        pair = LanguageModel(seed=seed)
        record(pair, tmp_path, [Sampling()], sequences=2, tokens=32)
        setup = replace(SMALL, acceptance=Recorded(str(tmp_path)), workload=Closed(2, 8, 24))
        found.append(compared(setup)[1]["sd"]["tokens_per_s"])
    assert found[0] != found[1]


@pytest.mark.parametrize("chunk", [64, 1 << 16])
def test_an_evaluation_is_the_run_without_its_tables(chunk, monkeypatch):
    monkeypatch.setattr("ssdsim.run.spool.CHUNK", chunk)
    whole, light = simulate(SMALL, spooled=True), evaluate(SMALL)
    assert light.metrics == whole.metrics
    assert light.info["config"] == whole.info["config"]
    assert not light.tables


def test_an_evaluation_makes_no_tables(monkeypatch):
    monkeypatch.setattr("ssdsim.run.trace.table_of", lambda *_: pytest.fail("a table was made"))
    assert evaluate(SMALL).metrics["tokens"] == 4 * 32
