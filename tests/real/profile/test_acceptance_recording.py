"""What is recorded of real models, replayed by the simulator: the rounds of the real run."""

from functools import cache

import pytest
from inline_crew import decode
from recorded_pair import (
    GREEDY,
    GUMBEL,
    MAXIMAL,
    METHODS,
    PROMPTS,
    TOKENS,
    generated_texts,
    in_turn,
    models,
    real,
    replayed,
)

from ssdreal.channel.messages import Verify
from ssdreal.executor.setup import Setup
from ssdreal.profile.acceptance_recording import record
from ssdsim.acceptance.trace_file import read_trace
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.methods.two_phase import TwoPhase
from ssdsim.policies.exit_target import ExitTarget
from ssdsim.policies.uniform_fanout import UniformFanout
from ssdsim.workloads.closed import Closed

SPEAKING = TwoPhase(0.5, ExitTarget(6), first_depth=4, second_depth=4)
WORKLOAD, PAIR = Closed(prompts=3, output_tokens=TOKENS), models("tiny_draft")


@pytest.fixture(scope="module")
def traces(tmp_path_factory):
    """Return the trace of a draft and a way of decoding; each is recorded once."""

    @cache
    def trace(draft, decoding):
        directory = tmp_path_factory.mktemp("trace")
        texts = generated_texts(real(draft, method=Autoregressive(), decoding=decoding))
        record(directory, *models(draft), texts, decoding, seed=7)
        return directory

    return trace


@pytest.mark.parametrize(("draft", "decoding", "settings"), in_turn(METHODS), ids=str)
def test_replay_gives_the_real_runs_rounds(traces, draft, decoding, settings):
    theirs = real(draft, decoding=decoding, **settings).rounds
    ours = replayed(traces(draft, decoding), decoding, **settings).rounds
    for column in ("seq", "round", "drafted", "accepted", "token", "predicted"):
        assert ours[column].tolist() == theirs[column].tolist(), column
    assert ours.hit.astype("object").tolist() == theirs.hit.astype("object").tolist()
    if isinstance(settings["method"], Ssd):
        known = theirs["rank"] >= 0  # a rank beyond the candidates is -1 in a real run
        assert known.mean() > 0.3
        assert ours["rank"][known].tolist() == theirs["rank"][known].tolist()
        assert (ours["rank"][~known & (ours["rank"] >= 0)] >= 32).all()


@pytest.mark.parametrize("decoding", [GREEDY, GUMBEL], ids=["greedy", "gumbel"])
def test_early_views_are_recorded_as_the_target_tells_them(decoding, tmp_path):
    run, crew = decode(Setup(SPEAKING, WORKLOAD, seed=7, decoding=decoding), *PAIR, PROMPTS)
    layer = run.info["exit"]["layer"]
    record(tmp_path, *PAIR, generated_texts(run), decoding, seed=7, exit_layers=(layer,))
    columns, known = read_trace(tmp_path).columns, {}
    for at, name in enumerate(columns["prompt"]):
        known.setdefault(name, []).append((columns["exit_ids"][at], columns["exit_p"][at]))
    compared = 0
    for verify, spoken, verified in told(crew):
        for line, view, (accepted, _) in zip(
            verify.lines, spoken.rows, verified.outcomes, strict=True
        ):
            start = len(line.tokens) - len(PROMPTS[line.seq])
            for node in range(min(accepted + 1, WORKLOAD.output_tokens - start)):
                ids, chances = known[f"prompt {line.seq}"][start + node]
                assert view.ids[node] == tuple(ids.tolist())
                assert view.beliefs[node] == pytest.approx(chances.tolist(), abs=1e-5)
                compared += 1
    assert compared >= 3 * WORKLOAD.output_tokens


def told(crew):
    """Yield every verify, what the target said on the way, and how it ended."""
    channel = crew.channels["target"]
    said = {spoken.stamp: spoken for spoken in channel.told}
    for command, answer in channel.log:
        if isinstance(command, Verify):
            yield command, said[command.stamp], answer


@pytest.mark.parametrize("decoding", [GREEDY, GUMBEL], ids=["greedy", "gumbel"])
def test_a_replay_predicts_by_them_as_the_run_did(decoding, tmp_path):
    settings = {"method": SPEAKING, "lookahead": 4, "policy": UniformFanout(fanout=1)}
    run = real("tiny_draft", decoding=decoding, **settings)
    layer = run.info["exit"]["layer"]
    record(tmp_path, *PAIR, generated_texts(run), decoding, seed=7, exit_layers=(layer,))
    # What the early layer says past an error is not recorded, so that other places stand in for it.
    ours = [replayed(tmp_path, decoding, seed=seed, **settings) for seed in range(6)]
    for metric, off in (("acceptance_length", 0.15), ("hit_rate", 0.1)):
        mean = sum(one.metrics[metric] for one in ours) / len(ours)
        assert mean == pytest.approx(run.metrics[metric], abs=off), metric


def test_replay_of_rejection_sampling_agrees_on_average(traces):
    settings = {"method": Speculative(), "lookahead": 3}
    real_run = real("tiny_draft", decoding=MAXIMAL, **settings)
    trace = traces("tiny_draft", MAXIMAL)
    ours = [replayed(trace, MAXIMAL, seed=seed, **settings) for seed in range(8)]
    mean = sum(run.metrics["acceptance_length"] for run in ours) / len(ours)
    assert mean == pytest.approx(real_run.metrics["acceptance_length"], rel=0.2)


def test_an_id_outside_the_drafts_head_has_no_chance_and_the_last_ranks(traces):
    columns = read_trace(traces("tiny_trimmed_draft", MAXIMAL)).columns
    _, draft = models("tiny_trimmed_draft")
    outside = ~(columns["token"][:, None] == draft.ids.numpy()).any(axis=1)
    assert outside.any()
    assert (columns["a"][outside] == 0).all()
    assert (columns["rank"][outside] >= len(draft.ids)).all()
    assert (columns["rank"][~outside] < len(draft.ids)).all()
