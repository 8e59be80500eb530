"""PEARL: worked timelines, its closed form, and the published runs of nano-PEARL."""

from dataclasses import replace
from math import ceil, exp, log
from pathlib import Path

import pandas as pd
import pytest
from scripted import decode, machine, near, rounds, spans

from ssdsim import Setup, simulate
from ssdsim.acceptance.iid import Iid
from ssdsim.acceptance.language_model import LanguageModel
from ssdsim.engine.exact_expectation import expect
from ssdsim.errors import ConfigError
from ssdsim.latency.machine import Link, Machine
from ssdsim.latency.table import Table
from ssdsim.methods.pearl import Pearl
from ssdsim.sampling.settings import Sampling
from ssdsim.workloads.closed import Closed

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
        Closed(8, 4, tokens),
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
            Closed(5, 4, 30),
            lookahead=4,
            sampling=sampling,
        )
        runs = [simulate(replace(alone, batch=batch)) for batch in (1, 3)]
        one, three = (run.rounds.sort_values(columns)[columns].to_numpy() for run in runs)
        assert (one == three).all()
        assert len(set(runs[1].rounds.drafted)) == 2


def by_rows(verify, step):
    """Return a machine whose passes take so long a row."""
    target = {"verify": {"batch": [1, 9], "seconds": [verify, 9 * verify]}}
    draft = {"step": {"batch": [1, 9], "seconds": [step, 9 * step]}}
    none = {work: {"seconds": 0.0} for work in ("prefill", "fill")}
    return Machine(Table(target | none | {"step": none["fill"]}), Table(draft | none))


def test_drafts_and_targets_share_the_rows_out():
    # Two rows; the second is wrong at once. A verify takes 1 s a row, a step .3 s a row.
    scripts = (((9, 0),), ((0, 0),))
    settings = {"tokens": 3, "lookahead": 3, "batch": 2, "machine": by_rows(1.0, 0.3)}
    run = decode(Pearl(servers=2), *scripts, **settings)
    assert spans(run, "verify", "lane", "start", "end", "batch")[:3] == near(
        [("target", 0, 1, 1), ("target1", 0, 1, 1), ("target", 1.8, 2.8, 1)]
    )
    assert spans(run, "speculate", "lane", "start", "end", "batch")[:2] == near(
        [("draft", 0, 1.8, 2), ("draft", 1.8, 3.6, 2)]
    )
    assert rounds(run, "seq", "accepted", "start", "end")[:2] == near(
        [(0, 0, 0, 1.8), (1, 0, 0, 1.8)]
    )
    run = decode(Pearl(drafts=2), *scripts, **settings)
    assert spans(run, "verify", "start", "end")[0] == (0, 2)
    assert spans(run, "speculate", "lane", "start", "end", "batch")[:2] == near(
        [("draft", 0, 0.9, 1), ("draft1", 0, 0.9, 1)]
    )


@pytest.mark.parametrize(("drafts", "servers"), [(1, 2), (2, 1), (2, 4), (4, 4), (3, 9)])
def test_a_step_takes_the_slowest_share(drafts, servers):
    texts = Setup(
        Pearl(), Iid(alpha=0.8), by_rows(1.0, 0.25), Closed(4, 4, 60), lookahead=5, batch=4
    )
    one, many = (
        simulate(replace(texts, method=method))
        for method in (Pearl(), Pearl("lookahead", drafts, servers))
    )
    same = ["seq", "round", "drafted", "accepted"]
    ordered = [run.rounds.sort_values(["seq", "round"])[same].to_numpy() for run in (one, many)]
    assert (ordered[0] == ordered[1]).all()  # they share the clock alone
    full = many.rounds[many.rounds.end <= many.rounds.groupby("seq").end.max().min()]
    each = max(ceil(4 / servers) * 1.0, ceil(4 / drafts) * 5 * 0.25)
    assert (full.end - full.start).to_numpy() == pytest.approx(each)


def test_several_drafts_and_targets_have_no_exact_expectation():
    setup = Setup(Pearl(servers=2), Iid(), machine(), lookahead=3, batch=2)
    with pytest.raises(ConfigError, match=r"method\.servers: the exact expectation does not cover"):
        expect(setup)
