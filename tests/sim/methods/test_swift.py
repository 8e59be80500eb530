"""SWIFT (Xia et al. 2024): when it searches, what that takes, when it stops, what it gains."""

import pytest
from numpy.random import default_rng
from scripted import machine

from ssdsim import Setup, simulate
from ssdsim.acceptance.iid import Iid
from ssdsim.acceptance.language_model import LanguageModel
from ssdsim.acceptance.weaker_draft import WeakerDraftText
from ssdsim.errors import ConfigError
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.self_speculative import SelfSpeculative
from ssdsim.methods.swift import Search, Swift
from ssdsim.workloads.closed import Closed


def decoded(method, seed=0, acceptance=Iid(alpha=0.95), workload=Closed(20, 0, 250), **more):
    return simulate(Setup(method, acceptance, machine(), workload, seed=seed, **more))


def searched(config, seed=0):
    """Return a search that has come to its end, and its losses on the way."""
    search = Search(config, default_rng(seed))
    losses = [search.loss]
    while not search.over:
        search.propose()
        losses.append(search.loss)
    return search, losses


# The search


@pytest.mark.parametrize("seed", range(5))
def test_it_ends_as_stated(seed):
    good, _ = searched(Swift(), seed)
    assert good.best > 0.93
    search, _ = searched(Swift(match=0.5, patience=40), seed)  # no draft is good enough
    assert search.best < 0.93
    assert search.idle == 40 <= search.tried
    search, _ = searched(Swift(match=0.5, most=17), seed)
    assert search.tried == 17


def test_a_proposal_is_kept_for_a_better_score_alone():
    search = Search(Swift(match=0.8), default_rng(1))
    kept = 0
    while not search.over:
        before = (search.best, search.loss)
        search.propose()
        gained = search.best > before[0]
        kept += gained
        assert gained or (search.best, search.loss) == before
        assert (search.idle == 0) == gained
    assert kept > 1


def test_the_search_finds_better_layers():
    # Scores are counts of 32, so single searches may end on a lucky one; the mean may not.
    ends = [searched(Swift(), seed)[0].loss for seed in range(200)]
    assert sum(ends) / 200 < 0.85 * Swift().loss
    exact = [searched(Swift(window=2000, enough=0.88), seed)[0].loss for seed in range(20)]
    assert max(exact) < 0.25 * Swift().loss


def test_guided_proposals_are_at_least_as_good_as_what_there_is():
    search = Search(Swift(guided=1, window=10**6, match=0.8, most=200), default_rng(0))
    losses = [search.loss]
    while not search.over:
        search.propose()
        losses.append(search.loss)
    assert losses[-1] < 0.02 < losses[0]


# In a run


def test_searches_are_single_passes_on_the_critical_path_once_there_is_text():
    run = decoded(Swift(most=6, enough=1.0), workload=Closed(2, 0, 80))
    searches = run.spans[run.spans.kind == "search"]
    assert len(searches) == 6
    assert set(searches.device) == {"target"}
    assert set(searches.tokens) == {32}
    assert list(searches.end - searches.start) == pytest.approx([0.5] * 6)
    for span in searches.itertuples():
        rounds = run.rounds[run.rounds.seq == span.seq]
        before = rounds[rounds.end <= span.start + 1e-9]
        assert (before.accepted + 1).sum() >= 50
        own = rounds[rounds["round"] == span.round].iloc[0]
        drafts = run.spans[(run.spans.kind == "speculate") & (run.spans.start >= own.start)]
        assert own.start == pytest.approx(span.start)
        assert drafts.start.min() == pytest.approx(span.end)


def test_the_search_takes_under_a_hundredth_of_the_time():
    # .8 % of the latency is published.
    shares = []
    for seed in range(4):
        run = decoded(Swift(), seed)
        searches = run.spans[run.spans.kind == "search"]
        shares.append((searches.end - searches.start).sum() / run.metrics["seconds"])
    assert 0 < sum(shares) / 4 < 0.01


def test_acceptance_rises_in_a_run():
    gains = []
    for seed in range(5):
        run = decoded(Swift(window=400, enough=0.88), seed)
        early = run.rounds[run.rounds.start < run.spans[run.spans.kind == "search"].start.min()]
        late = run.rounds[run.rounds.seq >= 10]
        gains.append(late.accepted.mean() - early.accepted.mean())
    assert sum(gains) / 5 > 0.5


def test_it_ends_between_its_first_layers_and_the_best():
    def speed(method):
        return sum(decoded(method, seed).metrics["tokens_per_s"] for seed in range(3)) / 3

    first = speed(Swift(begin=10**6))  # never searches
    found = speed(Swift(window=400, enough=0.88))
    best = speed(SelfSpeculative(kept=0.5))
    assert first < found < best


def test_a_losing_draft_loses_the_share_it_should_and_no_token_of_the_text():
    setup = Setup(SelfSpeculative(), LanguageModel(vocabulary=8, divergence=0.0), machine())
    source = setup.acceptance.open(setup.sampling, default_rng(0))
    text, plain = WeakerDraftText(source.text(0), lambda: 0.25, default_rng(1)), source.text(0)
    accepted = []
    for _ in range(2000):
        drafted = text.speculate(1, "primary")
        assert drafted == text.speculate(1, "primary")  # however often it is asked
        accepted.append(drafted.truth.node)
        text.commit(drafted, drafted.truth.node + 1)
    assert sum(accepted) / 2000 == pytest.approx(0.75, abs=0.03)
    tokens = list(text.history)
    while len(plain.history) < len(tokens):
        plain.commit(plain.speculate(0, "none"), 1)
    assert plain.history == tokens


def test_greedy_tokens_are_the_targets_own():
    pair, workload = LanguageModel(order=2), Closed(3, 4, 120)
    outputs = [
        [list(o) for o in decoded(method, acceptance=pair, workload=workload).sequences.output]
        for method in (Swift(begin=1), Autoregressive())
    ]
    assert outputs[0] == outputs[1]


@pytest.mark.parametrize("options", [{"loss": 0.6}, {"match": 2.0}, {"window": 0}, {"most": 0}])
def test_bad_options_are_refused(options):
    with pytest.raises(ConfigError, match=rf"method\.{next(iter(options))}"):
        Swift(**options)
