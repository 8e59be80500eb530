"""What is recorded of real models, replayed by the simulator: the rounds of the real run."""

from functools import cache

import pytest
from recorded_pair import MAXIMAL, METHODS, generated_texts, in_turn, models, real, replayed

from ssdreal.profile.acceptance_recording import record
from ssdsim.acceptance.trace_file import read_trace
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd


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
