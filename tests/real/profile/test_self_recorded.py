"""What is recorded of a target that drafts for itself, and what its replay makes of it."""

import pytest
from inline_crew import decode, outputs
from recorded_pair import PROMPTS as RECORDED
from recorded_pair import replayed
from skipped_layers import FIRST_LAYER, LAST_LAYER, MIXED
from tiny_runs import GREEDY, GUMBEL, MODELS

from ssdreal.executor.self_drafting import left_out
from ssdreal.executor.setup import Setup
from ssdreal.profile.acceptance_recording import GeneratedText, record
from ssdsim.methods.self_speculative import SelfSpeculative
from ssdsim.workloads.closed import Closed

SETTINGS = {"workload": Closed(3, output_tokens=48), "seed": 7}


@pytest.fixture(params=[GREEDY, GUMBEL[0]], ids=["greedy", "gumbel"])
def sampled(request, tmp_path):
    """Return a function that gives a method's runs and its traces, recorded either way."""
    model, decoding = MODELS("tiny_target", "float32"), request.param

    def compared(method, lookahead, draft=left_out):
        setup = Setup(method, lookahead=lookahead, decoding=decoding, **SETTINGS)
        real = decode(setup, model, None, RECORDED)[0]
        texts = [
            GeneratedText(at, f"prompt {at}", "test", prompt, text)
            for at, (prompt, text) in enumerate(zip(RECORDED, outputs(real), strict=True))
        ]
        record(tmp_path, model, draft(method), texts, decoding, seed=7)
        return agreement(real, tmp_path, decoding, lookahead)

    return compared


def agreement(real, directory, decoding, lookahead):
    """Return the share of a run's rounds that are also its replay's."""
    settings = {"method": SelfSpeculative(), "lookahead": lookahead}
    replay = replayed(directory, decoding, **settings).rounds
    key = ["seq", "round", "drafted", "accepted", "token"]
    assert 0.2 < real.rounds.accepted.mean() < 0.9 * lookahead
    return len(real.rounds[key].merge(replay[key])) / max(len(real.rounds), len(replay))


@pytest.mark.parametrize("method", [LAST_LAYER, MIXED, FIRST_LAYER], ids=["last", "mixed", "first"])
def test_its_replay_gives_the_rounds_of_lookahead_1(method, sampled):
    assert sampled(method, 1) == 1


def test_so_it_does_for_any_lookahead_where_no_entries_come_from_what_is_changed(sampled):
    assert sampled(LAST_LAYER, 4) == 1  # entries of the first layer are made of tokens alone


def test_elsewhere_the_drafts_own_entries_differ_from_the_targets(sampled):
    assert min(sampled(method, 4) for method in (MIXED, FIRST_LAYER)) < 1


def test_reading_all_of_the_text_itself_it_would_be_another_draft(sampled):
    alone = lambda method: MODELS("tiny_target", "float32").without(left_out(method))  # noqa: E731
    assert sampled(MIXED, 1, alone) < 1
