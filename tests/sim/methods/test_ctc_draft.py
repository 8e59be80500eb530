"""A CTC encoder's draft: worked timelines, the formula of its time, and what it says of itself."""

import math

import numpy as np
import pytest
from commands import run as command
from scripted import decode, machine, rounds, spans

from ssdsim import Setup, load_run, simulate
from ssdsim.acceptance.iid import Iid
from ssdsim.acceptance.language_model import LanguageModel
from ssdsim.errors import ConfigError
from ssdsim.latency.machine import Machine
from ssdsim.latency.table import Table
from ssdsim.methods.ctc_draft import CtcDraft
from ssdsim.sampling.settings import Sampling
from ssdsim.workloads.closed import Closed

NEVER = {"confident": 0.0, "relaxed": 0.0}
L = 10
PASSES = {"tokens": [1, L], "seconds": [1.0, 1.9]}
WIDE = Machine(target=Table({"verify": PASSES, "prefill": {"seconds": 0.0}}), draft=machine().draft)


def test_what_the_encoder_is_certain_of_is_final():
    found = decode(CtcDraft(0.5, confident=1.0), ((3, 0), (9, 0)), tokens=5)
    assert rounds(found, "drafted", "accepted", "speculator", "start", "end") == [
        (4, 4, "primary", 0, 0.5)
    ]
    assert spans(found, "speculate", "lane", "device", "tokens", "used") == [
        ("draft", "target", 5, 5)
    ]
    assert spans(found, "verify", "start") == []
    assert found.metrics["token_mismatches"] == 1  # the fourth; the second draw has no other


def test_a_hypothesis_that_passes_takes_one_pass():
    found = decode(CtcDraft(0.5, **NEVER), ((9, 0),), tokens=5)
    assert rounds(found, "accepted", "end") == [(4, 1.5)]
    assert spans(found, "verify", "tokens", "used") == [(5, 5)]
    assert found.metrics["token_mismatches"] == 0


def test_decoding_goes_on_from_the_accepted_prefix():
    found = decode(CtcDraft(0.5, **NEVER), ((2, 0), (9, 0), (9, 0)), tokens=4)
    # Two of four tokens pass; the pass does not deliver the token that it would have said.
    assert rounds(found, "drafted", "accepted", "start", "end") == [
        (3, 1, 0, 1.5),
        (0, 0, 1.5, 2.5),
        (0, 0, 2.5, 3.5),
    ]
    assert spans(found, "verify", "tokens", "used") == [(4, 2), (1, 1), (1, 1)]
    assert spans(found, "speculate", "tokens", "used") == [(4, 2)]


def test_a_prefix_of_none_ends_no_round():
    found = decode(CtcDraft(0.5, **NEVER), ((0, 0), (9, 0)), tokens=2)
    assert rounds(found, "drafted", "accepted", "start", "end") == [
        (0, 0, 0, 2.5),
        (0, 0, 2.5, 3.5),
    ]


def test_a_relaxed_threshold_lets_wrong_tokens_pass():
    found = decode(CtcDraft(0.5, confident=0.0, relaxed=1.0), ((1, 0), (0, 0), (9, 0)), tokens=5)
    assert rounds(found, "accepted", "end") == [(4, 1.5)]
    assert found.metrics["token_mismatches"] == 2


def test_places_of_final_utterances_are_taken_at_once():
    found = decode(CtcDraft(0.5, confident=1.0), ((9, 0),), prompts=3, tokens=4, batch=1)
    assert list(found.sequences.finish) == [0.5, 1.0, 1.5]


@pytest.mark.parametrize("confident", [0.0, 0.4])
@pytest.mark.parametrize("relaxed", [0.0, 0.3])
def test_the_time_of_an_utterance(confident, relaxed):
    """methods.md 10: T_enc + P(gate fails)·[t_p(L) + P(verify fails)·(L - E[prefix])·t_p]."""
    prompts, encoder, alpha = 4000, 0.7, 0.9
    method = CtcDraft(encoder, confident, relaxed)
    setup = Setup(method, Iid(alpha=alpha), WIDE, Closed(prompts, 8, L), seed=3)
    found = simulate(setup)
    passes = alpha + (1 - alpha) * relaxed
    fails = 1 - passes**L
    prefix = sum(k * passes**k * (1 - passes) for k in range(L)) / fails
    expected = encoder + (1 - confident) * (1.9 + fails * (L - prefix) * 1.0)
    taken = (found.sequences.finish - found.sequences.admitted).to_numpy()
    error = taken.std() / math.sqrt(prompts)
    assert error < 0.02 * expected
    assert np.mean(taken) == pytest.approx(expected, abs=3 * error)
    wrong = found.metrics["token_mismatches"] / (prompts * L)
    assert (wrong == 0) == (confident == 0 and relaxed == 0)
    if confident == 0 and relaxed:
        # Of the tokens that pass a share is wrong.
        kept = (1 - fails) * L + fails * prefix
        expected = kept * (1 - alpha) * relaxed / passes / L
        assert wrong == pytest.approx(expected, rel=0.1)


def test_it_is_refused_where_its_tokens_would_be_known():
    setup = Setup(CtcDraft(), LanguageModel(), machine(), Closed(1, 4, 5))
    with pytest.raises(ConfigError, match=r"method='ctc_draft': needs an acceptance source witho"):
        simulate(setup)
    warm = Setup(CtcDraft(), Iid(), machine(), Closed(1, 4, 5), sampling=Sampling(1.0))
    with pytest.raises(ConfigError, match=r"temperature=1.0: needs 0"):
        simulate(warm)
    with pytest.raises(ConfigError, match=r"method.relaxed=2: needs a share"):
        CtcDraft(relaxed=2)


def test_the_output_says_that_it_is_lossy(capsys, tmp_path):
    settings = ("latency=constant", "acceptance=iid", "workload.prompts=4", f"out={tmp_path}")
    assert command("method=ctc_draft", *settings) == 0
    printed = capsys.readouterr().out
    assert "ctc_draft (lossy)" in printed
    assert "tokens unlike the target's" in printed
    found = load_run(tmp_path)
    assert found.info["lossless"] is False
    assert found.metrics["token_mismatches"] > 0
