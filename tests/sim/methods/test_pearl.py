"""PEARL: worked timelines, its closed form, and the published runs of nano-PEARL."""

from dataclasses import replace
from math import exp, log
from pathlib import Path

import pandas as pd
import pytest
from scripted import decode, machine, near, rounds, spans

from ssdsim import Setup, simulate
from ssdsim.acceptance.iid import Iid
from ssdsim.acceptance.language_model import LanguageModel
from ssdsim.engine.workload import Workload
from ssdsim.latency.machine import Link
from ssdsim.methods.pearl import Pearl
from ssdsim.sampling.settings import Sampling

REFERENCE = Path(__file__).parents[2] / "support/reference"
NANO = pd.read_csv(REFERENCE / "nano_pearl_h200.csv", comment="#")
WINDOWS = {"Qwen2.5-1.5B-Instruct": 8, "Qwen2.5-3B-Instruct": 5}


def test_pre_verify_then_post_verify():
    # Right for 5 tokens, then corrected; wrong at once; right from then on.
    run = decode(Pearl(), ((5, 0), (0, 0), (9, 0)), tokens=10, lookahead=3)
    assert rounds(run, "drafted", "accepted", "speculator", "start", "end") == near(
        [
            (0, 0, "none", 0, 1),  # pre-verify: the first of three is right
            (2, 2, "primary", 1, 2),  # the other two, and the first of the next three
            (2, 1, "primary", 2, 3),  # the second of the other two is corrected
            (0, 0, "none", 3, 4),  # pre-verify, wrong at once
            (0, 0, "none", 4, 5),
            (2, 1, "primary", 5, 6),  # cut short by the last token
        ]
    )
    assert spans(run, "speculate") == near(
        [
            (0, 0.6, 3, 3),
            (1, 1.6, 3, 2),
            (2, 2.6, 3, 0),
            (3, 3.6, 3, 0),
            (4, 4.6, 3, 2),
            (5, 5.6, 3, 0),
        ]
    )
    assert [used for *_, used in spans(run, "verify")] == [1, 3, 2, 1, 1, 2]


def test_a_step_ends_when_both_are_done_and_then_they_talk():
    slow = machine(step=0.5, link=Link(latency=0.05))
    run = decode(Pearl(), ((9, 0),), tokens=7, lookahead=3, machine=slow)
    assert rounds(run, "accepted", "start", "end") == near(
        [(0, 0, 1.6), (2, 1.6, 3.2), (2, 3.2, 4.8)]
    )


def speed(alpha, window, tokens=4000, seed=0, **more):
    """Return tokens a second, where a verify takes one second."""
    setup = Setup(
        Pearl(),
        Iid(alpha=alpha),
        machine(step=1 / max(window, 1)),
        Workload(8, 4, tokens),
        lookahead=window,
        seed=seed,
    )
    return simulate(replace(setup, **more)).metrics["tokens_per_s"]


def closed_form(alpha, window):
    """Return the speedup for γ·t_q <= t_p: tokens between rejections over steps between them."""
    return 1 / (1 - alpha) / (1 + alpha / (1 - alpha**window))


@pytest.mark.slow
@pytest.mark.parametrize("window", [1, 5, 8])
@pytest.mark.parametrize(("alpha", "tokens"), [(0.3, 2000), (0.7, 6000), (0.9, 16000)])
def test_closed_form_within_one_percent(alpha, tokens, window):
    assert speed(alpha, window, tokens) == pytest.approx(closed_form(alpha, window), rel=0.01)


@pytest.mark.slow
def test_limits():
    assert speed(1.0, 5) == pytest.approx(5, rel=0.002)  # γ tokens a step
    assert speed(0.0, 5) == pytest.approx(1)  # autoregressive decoding
    assert speed(0.5, 0) == pytest.approx(1)


def logged_acceptance(mat):
    """Return α: with corrections, 1 / (1 − α) tokens lie between rejections."""
    return 1 - 1 / mat


@pytest.mark.parametrize("draft", WINDOWS)
def test_nano_pearl_within_5_percent_by_one_window_and_one_scale(draft):
    rows = NANO[NANO.draft == draft]
    window = WINDOWS[draft]
    predicted = [speed(logged_acceptance(mat), window) for mat in rows.mat]
    ratios = [measured / p for measured, p in zip(rows.speedup, predicted, strict=True)]
    scale = exp(sum(map(log, ratios)) / len(ratios))
    assert 0.95 < scale < 1.05
    assert len(ratios) == 4
    for measured, p in zip(rows.speedup, predicted, strict=True):
        assert scale * p == pytest.approx(measured, rel=0.05)


def test_an_adaptive_window_is_what_the_draft_has_time_for():
    fast, slow = machine(step=0.3), machine(step=3.0)
    settings = {"tokens": 30, "lookahead": 8}
    for on, window in ((fast, 3), (slow, 1), (machine(step=0.01), 8), (machine(step=0), 8)):
        run = decode(Pearl("adaptive"), ((99, 0),), machine=on, **settings)
        assert set(run.spans[run.spans.kind == "speculate"].tokens) == {window}
        fixed = decode(Pearl(), ((99, 0),), machine=on, tokens=30, lookahead=window)
        assert run.tables["rounds"] == fixed.tables["rounds"]


def test_each_row_of_a_batch_is_in_a_phase_of_its_own():
    columns = ["seq", "round", "drafted", "accepted", "token"]
    for sampling in (Sampling(0.0), Sampling(1.0)):
        alone = Setup(
            Pearl(),
            LanguageModel(),
            machine(),
            Workload(5, 4, 30),
            lookahead=4,
            sampling=sampling,
        )
        runs = [simulate(replace(alone, batch=batch)) for batch in (1, 3)]
        one, three = (run.rounds.sort_values(columns)[columns].to_numpy() for run in runs)
        assert (one == three).all()
        assert len(set(runs[1].rounds.drafted)) == 2
