"""ssdsim against llama.cpp's server: the figures of docs/llama_cpp.md, and some on this machine."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau

from ssdreal.llama_cpp.gguf_draft import write_gguf
from ssdreal.llama_cpp.server import find_binary, serving
from ssdreal.llama_cpp.service_times import decode, measure
from ssdreal.llama_cpp.settings import DraftModel, PromptLookup, Settings
from ssdreal.models.gguf_weights import gguf
from ssdsim.errors import ConfigError
from ssdsim.observe.reading import observe

ANALYSIS = Path(__file__).parents[3] / "analysis"
TOKENS = 33


@pytest.fixture(scope="module")
def analysis():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(ANALYSIS), *sys.path])
        import llama_cpp

        patch.setattr(llama_cpp, "TEXTS", 40)
        yield llama_cpp


def off(simulated, measured):
    """Return the error in the median and at the 95th percentile, and Kendall's tau of the order."""
    errors = abs(np.array(simulated) / np.array(measured) - 1)
    return (*np.quantile(errors, [0.5, 0.95]), kendalltau(simulated, measured).statistic)


@pytest.fixture(scope="module")
def predicted(analysis, tmp_path_factory):
    """Return runs that were measured, and tokens/s as simulated and as measured."""
    found = json.loads((ANALYSIS / "llama_cpp.json").read_text(encoding="utf-8"))
    runs, simulated = found["runs"], analysis.Simulated(found, tmp_path_factory.mktemp("texts"))
    said = [simulated.of(run) for run in runs]
    return runs, np.array(said), np.array([run["tokens"] / run["seconds"] for run in runs])


def test_configurations_of_another_engine_are_predicted_from_other_runs_of_it(predicted):
    runs, simulated, measured = predicted
    assert len(runs) >= 20
    middle, most, order = off(simulated, measured)
    assert middle < 0.05
    assert most < 0.10
    assert order > 0.9


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    try:
        find_binary()
        target = gguf()
    except ConfigError as missing:
        pytest.skip(str(missing))
    draft = tmp_path_factory.mktemp("gguf") / "draft.gguf"
    write_gguf("smollm2_135m_draft", target, draft)
    return target, draft


@pytest.fixture(scope="module")
def prompts():
    from ssdreal.executor.prompt_files import read_prompts, tokenized

    return [task.tokens for task in tokenized(read_prompts(None, 3), "smollm2_135m")]


@pytest.mark.slow
def test_speculation_delivers_the_engines_own_tokens(models, prompts):
    target, draft = models
    plain = decode(Settings(target), prompts, TOKENS)
    for drafter in (DraftModel(draft, 4), PromptLookup(3, 4)):
        drafted = decode(Settings(target, drafter), prompts, TOKENS)
        assert [one.tokens for one in drafted] == [one.tokens for one in plain]
        assert all(len(one.tokens) == TOKENS for one in drafted)
        assert sum(one.accepted for one in drafted) > 5


@pytest.mark.slow
def test_the_model_as_its_own_draft_is_always_right(models, prompts):
    target, _ = models
    for one in decode(Settings(target, DraftModel(target, 3)), prompts, TOKENS):
        # Passes of another shape round otherwise: a near tie may fall the other way.
        assert one.accepted >= 0.9 * one.drafted


@pytest.mark.slow
def test_what_is_forced_comes_out(models, prompts):
    target, draft = models
    always, never = (
        decode(Settings(target, DraftModel(draft, 3), (rate,) * 3), prompts, TOKENS)
        for rate in (1.0, 0.0)
    )
    assert all(one.accepted == 0 and one.rounds == TOKENS - 1 for one in never)
    assert all(one.rounds <= 0.5 * TOKENS for one in always)


@pytest.mark.slow
def test_its_own_log_tells_what_its_completions_do(models, prompts, tmp_path):
    target, draft = models
    with serving(Settings(target, DraftModel(draft, 3))) as server:
        done = [server.complete(prompt, TOKENS) for prompt in prompts]
        log = tmp_path / "server.log"
        log.write_bytes(server.log.read_bytes())
    told = observe([log]).told
    # Releases that print no mean length have a text's first token among its rounds; those that do
    # leave out its last round, which has no draft where one token is left.
    rounds = sum(one.rounds for one in done)
    assert rounds - len(prompts) <= told.rounds <= rounds + len(prompts)
    assert told.tau == pytest.approx(1 + sum(one.accepted for one in done) / told.rounds)


@pytest.mark.slow
def test_a_lookahead_is_predicted_from_other_runs(models, prompts):
    """Two configurations, for their order: whoever else is at work here moves their seconds."""
    from ssdreal.llama_cpp.prediction import forced
    from ssdsim import Setup
    from ssdsim.engine.simulation import evaluate
    from ssdsim.methods.speculative import Speculative
    from ssdsim.workloads.closed import Closed

    target, draft = models
    machine = measure(Settings(target, DraftModel(draft, 6)), prompts[:1], TOKENS).machine()
    real, simulated = [], []
    for K, rates in ((2, [0.9, 0.8]), (6, [0.3, 0.1, 0.0, 0.0, 0.0, 0.0])):
        done = decode(Settings(target, DraftModel(draft, K), rates), prompts, TOKENS, 7)
        real.append(sum(len(c.tokens) - 1 for c in done) / sum(c.seconds for c in done))
        setup = Setup(Speculative(), forced(rates), machine, Closed(50, 0, TOKENS - 1), lookahead=K)
        simulated.append(evaluate(setup).metrics["tokens_per_s"])
    assert real[0] > 1.5 * real[1]
    assert simulated[0] > 1.5 * simulated[1]
    assert simulated == pytest.approx(real, rel=0.5)
