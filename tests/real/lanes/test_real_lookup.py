"""Prompt lookup drafts for real models: the target's own text, and the simulator's rounds."""

from dataclasses import replace

import pytest
from inline_crew import decode, outputs
from invariants import all_holds
from real_commands import TINY, Inline, run
from recorded_pair import GREEDY, GUMBEL, MACHINE, MAXIMAL, PROMPTS, generated_texts, models
from static_servers import DIRECT
from tiny_runs import POLICIES

from ssdreal.executor.setup import Setup
from ssdreal.executor.simulated_twin import simulated_twin
from ssdreal.profile.acceptance_recording import record
from ssdsim import load_run, simulate
from ssdsim.acceptance.recorded import Recorded
from ssdsim.backups.jit import Jit
from ssdsim.backups.random import Random
from ssdsim.drafters.ngram import Ngram
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.workloads.closed import Closed

METHODS = [Speculative(), Ssd(), Ssd("truncate", "all")]
DECODINGS = [GREEDY, GUMBEL, MAXIMAL]


def turn(at, method, decoding):
    policy = list(POLICIES.values())[at % len(POLICIES)]
    return Setup(
        method,
        Closed(prompts=3, output_tokens=48),
        policy,
        (Jit(), Random())[at // 3 % 2],
        lookahead=(4, 5, 6)[at % 3],
        batch=(1, 3)[at % 2],
        decoding=decoding,
        seed=7,
        drafter=Ngram((3, 1, 2)[at % 3]),
    )


TURNS = [turn(at, METHODS[at % 3], DECODINGS[at // 3 % 3]) for at in range(9)]


def decoded(setup, **more):
    """Return the run of a setup on the target alone."""
    return decode(setup, models("tiny_draft")[0], None, PROMPTS, **more)[0]


@pytest.mark.parametrize("setup", TURNS, ids=range(9))
def test_the_text_is_the_targets_own_and_the_rounds_are_the_simulations(setup, tmp_path):
    real = decoded(setup)
    all_holds(setup, real)
    assert real.info["devices"][0]["lanes"] == ["target"]
    if not setup.decoding.needs_probabilities:
        alone = replace(setup, method=Autoregressive(), width=setup.pass_width)
        assert outputs(real) == outputs(decoded(alone))
    record(tmp_path, *models("tiny_draft"), generated_texts(real), setup.decoding, seed=7)
    twin = simulate(simulated_twin(setup, Recorded(str(tmp_path)), MACHINE))
    for column in ("seq", "round", "drafted", "accepted", "token", "predicted", "speculator"):
        assert twin.rounds[column].tolist() == real.rounds[column].tolist(), column
    assert twin.rounds.hit.astype("object").tolist() == real.rounds.hit.astype("object").tolist()
    assert _lookups(twin) == _lookups(real)
    if isinstance(setup.method, Ssd):
        within = real.rounds.seq.ne(real.rounds.seq.shift(-1, fill_value=-1)).eq(False)
        assert twin.rounds["rank"][within].tolist() == real.rounds["rank"][within].tolist()


def _lookups(run):
    """Return what the lookups of a run made, and how much of it was used."""
    spans = run.spans[run.spans.lane == "draft"]
    made = spans[["kind", "seq", "round", "batch", "branches", "tokens", "used"]]
    return [row for row in made.itertuples(index=False, name=None) if row[5]]


@pytest.mark.parametrize("at", [0, 4, 8])
def test_a_device_verifies_what_was_looked_up_as_the_host_does(at):
    assert outputs(decoded(TURNS[at], servers=DIRECT)) == outputs(decoded(TURNS[at]))


def test_lookups_are_measured():
    spans = decoded(TURNS[0]).spans
    lookups = spans[spans.lane == "draft"]
    assert (lookups.device == "host").all()
    assert 0 < (lookups.end - lookups.start).median() < 0.01


def test_no_draft_model_is_loaded(tmp_path):
    hired = []

    def hire(*hirings):
        hired.append([hiring.role for hiring in hirings])
        return Inline(*hirings)

    words = (*TINY, "method=speculative", "drafter=ngram", "lookahead=4")
    assert run(*words, f"out={tmp_path / 'run'}", hire=hire) == 0
    assert hired == [["target"]]
    info = load_run(tmp_path / "run").info
    assert info["config"]["drafter"]["_target_"] == "ngram"
    assert info["metrics"]["token_mismatches"] == 0
    assert info["baselines"]["sd"]["method"] == "speculative"
