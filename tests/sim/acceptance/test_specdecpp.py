"""SpecDec++ (Huang, Guo, Wang 2024) is `speculative` with `length=confidence`."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pandas as pd
import pytest
from scripted import machine

from ssdsim import Setup, simulate
from ssdsim.acceptance.language_model import LanguageModel, record
from ssdsim.acceptance.recorded import Recorded
from ssdsim.lengths.confidence import Confidence
from ssdsim.methods.speculative import Speculative
from ssdsim.sampling.settings import Sampling
from ssdsim.theory import seconds_per_token
from ssdsim.workloads.closed import Closed

TABLE = Path(__file__).parents[2] / "support/reference/specdecpp.csv"
REFERENCE = pd.read_csv(TABLE, comment="#")
DRAFT, TARGET = 22.7e-3, 110e-3  # the first line of the table says that these are assumed
PAIR = LanguageModel(vocabulary=16, sharpness=3.0, divergence=1.0)
WARM = Sampling(1.0)


@cache
def trace():
    """Record the pair at temperature 1: some of its contexts are hard, most are not."""
    directory = mkdtemp()
    record(PAIR, directory, [WARM], sequences=24, tokens=300)
    return Recorded(directory)


def decoded(length=None, lookahead=12, seed=0):
    setup = Setup(
        Speculative(),
        trace(),
        machine(verify=1.0, step=0.1),
        Closed(24, 4, 250),
        lookahead=lookahead,
        sampling=WARM,
        seed=seed,
    )
    return simulate(setup if length is None else replace(setup, length=length))


@cache
def speed(length=None, lookahead=12):
    return np.mean([decoded(length, lookahead, s).metrics["tokens_per_s"] for s in range(2)])


@cache
def best_fixed():
    return max(speed(lookahead=K) for K in range(4, 9))


@pytest.mark.parametrize(
    ("dataset", "reckoned", "reported"),
    [("alpaca", 1.91, 1.90), ("humaneval", 2.03, 2.00), ("gsm8k", 2.11, 2.07)],
)
def test_the_best_fixed_length_of_the_published_counts(dataset, reckoned, reported):
    # V and D are rounded and read off a plot: that leaves 2 % to what was reckoned from them.
    rows = REFERENCE[REFERENCE.dataset == dataset]
    seconds = [seconds_per_token(DRAFT, TARGET, row.V, row.D) for row in rows.itertuples()]
    assert TARGET / min(seconds) == pytest.approx(reckoned, rel=0.022)
    assert TARGET / min(seconds) == pytest.approx(reported, rel=0.04)


@pytest.mark.parametrize(
    "length",
    [
        None,
        Confidence(),
        Confidence(0.4, least=1),
        Confidence(estimate="head"),
        Confidence(informed=0.0),
    ],
    ids=str,
)
@pytest.mark.parametrize("step", [0.0, 0.1, 0.7])
def test_seconds_a_token_are_an_identity_of_calls_and_discarded_drafts(length, step):
    setup = Setup(
        Speculative(),
        PAIR,
        machine(verify=1.0, step=step),
        Closed(5, 4, 60),
        lookahead=9,
        sampling=WARM,
        length=length or Confidence(0.0),
    )
    run = simulate(setup)
    tokens, rounds = run.metrics["tokens"], run.rounds
    discarded = (rounds.drafted - rounds.accepted).sum() / tokens
    expected = seconds_per_token(step, 1.0, len(rounds) / tokens, discarded)
    assert run.metrics["seconds"] / tokens == pytest.approx(expected, rel=1e-9)


@pytest.mark.slow
def test_estimates_about_the_token_beat_the_best_fixed_length_on_the_same_trace():
    assert speed(Confidence(estimate="head")) > 1.04 * best_fixed()
    assert speed(Confidence()) > best_fixed()


@pytest.mark.slow
def test_the_better_the_estimates_the_faster():
    head, draft, none = (
        speed(Confidence(estimate="head")),
        speed(Confidence()),
        max(speed(Confidence(h, informed=0.0)) for h in (0.6, 0.7, 0.8)),
    )
    assert head > draft > none


@pytest.mark.slow
def test_estimates_about_nothing_do_not_beat_it():
    thresholds = (0.5, 0.6, 0.7, 0.8)
    assert max(speed(Confidence(h, informed=0.0)) for h in thresholds) < 1.01 * best_fixed()


def test_the_head_of_a_trace_is_calibrated():
    # Of the tokens that came to a decision, as many were accepted as their chances say.
    source = trace().open(WARM, np.random.default_rng(0))
    chances, accepted = [], []
    for seq in range(24):
        text = source.text(seq)
        for _ in range(50):
            drafted = text.speculate(3, "primary")
            decided = min(drafted.truth.node + 1, 3)
            chances += drafted.chances[:decided]
            accepted += [at < drafted.truth.node for at in range(decided)]
            text.commit(drafted, drafted.truth.node + 1)
    chances, accepted = np.array(chances), np.array(accepted)
    for low, high in ((0.0, 0.3), (0.3, 0.7), (0.7, 0.999), (0.999, 1.01)):
        among = (chances >= low) & (chances < high)
        error = np.sqrt(np.maximum(chances * (1 - chances), 0)[among].sum() + 1)
        assert among.sum() > 100
        assert abs(accepted[among].sum() - chances[among].sum()) < 4 * error
