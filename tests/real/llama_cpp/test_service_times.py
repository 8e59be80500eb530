"""Service times of an engine, measured from runs of one that takes known times."""

from pathlib import Path

import pytest

from ssdreal.llama_cpp import service_times
from ssdreal.llama_cpp.completion import Completion, EngineRound
from ssdreal.llama_cpp.prediction import forced, write_texts
from ssdreal.llama_cpp.service_times import measure
from ssdreal.llama_cpp.settings import DraftModel, PromptLookup, Settings
from ssdsim import Setup, simulate
from ssdsim.drafters.ngram_simple import NgramSimple
from ssdsim.engine.simulation import evaluate
from ssdsim.methods.speculative import Speculative
from ssdsim.workloads.closed import Closed

TARGET, DRAFT, K = Path("target.gguf"), Path("draft.gguf"), 4
TOKEN, STEP = 0.006, 0.002
VERIFY = {1: 0.020, 2: 0.027, 3: 0.033, 4: 0.036}


def engine(settings, prompts, tokens):
    """Decode as the engine does, where all that is forced is rejected."""
    said, took = tuple(range(tokens)), [TOKEN] * (tokens - 1)
    if settings.model == DRAFT:
        took = [STEP] * (tokens - 1)
    rounds = []
    if settings.drafter is not None:
        assert set(settings.forced) == {0.0}
        step = STEP if isinstance(settings.drafter, DraftModel) else 0.0
        lengths = [min(settings.drafter.lookahead, left - 1) for left in range(tokens - 1, 1, -1)]
        took = [length * step + VERIFY[length] for length in lengths]
        rounds = [EngineRound(*one) for one in zip(lengths, [0] * 99, took, strict=False)]
    done = Completion(said, sum(took), 0, 0, tuple(rounds))
    return [done for _ in prompts]


@pytest.fixture
def known(monkeypatch):
    monkeypatch.setattr(service_times, "decode", engine)


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("drafter", [DraftModel(DRAFT, K), PromptLookup(3, K)])
def test_an_engines_times_are_what_its_runs_took(drafter):
    times = measure(Settings(TARGET, drafter), [[1, 2, 3], [4, 5]], 16)
    assert times.token == pytest.approx(TOKEN)
    assert times.step == pytest.approx(STEP if isinstance(drafter, DraftModel) else 0.0)
    assert times.verify == pytest.approx(VERIFY)


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("lookahead", [1, 2, 4])
def test_forced_rates_and_these_times_decide_the_speed(lookahead):
    machine = measure(Settings(TARGET, DraftModel(DRAFT, K)), [[1]], 16).machine()
    rates = [0.8, 0.5, 0.4, 0.1][:lookahead]
    workload = Closed(100, 0, 400)
    setup = Setup(Speculative(), forced(rates), machine, workload, lookahead=lookahead)
    metrics = evaluate(setup).metrics
    assert metrics["acceptance_length"] == pytest.approx(1 + sum(rates), rel=0.02)
    round_seconds = lookahead * STEP + VERIFY[lookahead]
    expected = metrics["acceptance_length"] / round_seconds
    assert metrics["tokens_per_s"] == pytest.approx(expected, rel=1e-3)


@pytest.mark.usefixtures("known")
def test_lookups_follow_from_the_text_alone(tmp_path):
    times = measure(Settings(TARGET, PromptLookup(3, K)), [[1]], 16)
    prompt, output = [9, 1, 2, 3, 4, 5, 6, 7], [1, 2, 3, 4, 5, 6, 8, 9]
    texts = write_texts(tmp_path, {"a": prompt}, {"a": output})
    workload = Closed(1, 0, len(output))
    setup = Setup(
        Speculative(), texts, times.machine(), workload, lookahead=K, drafter=NgramSimple(3)
    )
    rounds = simulate(setup).rounds
    # Three tokens one by one until they are found again: 4, 5, 6 are right, 7 is not.
    assert rounds.drafted.tolist() == [0, 0, 0, 4, 0]
    assert rounds.accepted.tolist() == [0, 0, 0, 3, 0]
    assert rounds.end.iloc[-1] == pytest.approx(4 * TOKEN + VERIFY[4])
