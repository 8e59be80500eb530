"""Acceptance from counters: chains, and what is known and not known of bonus tokens."""

from dataclasses import replace

import numpy as np
import pytest
from scripted import machine

from ssdsim import Setup, expect, simulate
from ssdsim.acceptance.observed import Observed
from ssdsim.engine.rank_range import LABELS, enter_range, range_sentence, rank_range
from ssdsim.engine.simulation import evaluate
from ssdsim.errors import ConfigError
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.policies.fixed_fanout import FixedFanout
from ssdsim.policies.uniform_fanout import UniformFanout
from ssdsim.sampling.settings import Sampling
from ssdsim.theory.acceptance_runs import beyond, chain_rates, run_chances
from ssdsim.workloads.closed import Closed

LOGGED = Observed((0.8, 0.7, 0.6), (1, 8), (0.4, 0.1), (0.8, 0.5), between=0.0)
WORKLOAD = Closed(prompts=100, prompt_tokens=10, output_tokens=200)
SSD = Setup(Ssd(), LOGGED, machine(), WORKLOAD, policy=UniformFanout(fanout=1), lookahead=2)


def outcomes(acceptance, length, count=20_000):
    source = acceptance.open(Sampling(), np.random.default_rng(0))
    text, found = source.text(0), []
    for _ in range(count):
        speculation = text.speculate(length, "primary")
        found.append(speculation.truth)
        text.commit(speculation, speculation.truth.node + 1)
    return found


def test_after_a_whole_draft_the_bonus_is_the_drafts_choice_as_often_as_the_run_goes_on():
    ends = outcomes(LOGGED, 2)
    chains = LOGGED.open(Sampling(), np.random.default_rng(0)).chains(2)
    whole = [rank for node, rank in ends if node == 2]
    assert sum(rank == 0 for rank in whole) / len(whole) == pytest.approx(chains.right, abs=0.015)
    # Outside the first two: neither that nor the best of those behind it.
    share = sum(not 0 <= rank < 2 for rank in whole) / len(whole)
    assert share == pytest.approx((1 - chains.right) * 0.4, abs=0.015)


def test_after_a_rejection_ranks_follow_the_curve():
    rejected = [rank for node, rank in outcomes(LOGGED, 2) if node < 2]
    share = sum(not 0 <= rank < 8 for rank in rejected) / len(rejected)
    assert share == pytest.approx(0.1, abs=0.01)


def test_between_the_best_and_the_worst_lies_the_geometric_mean():
    half = replace(LOGGED, between=0.5).open(Sampling(), np.random.default_rng(0))
    assert half.easy.miss(1) == pytest.approx((0.4 * 0.8) ** 0.5)


@pytest.mark.parametrize("policy", [UniformFanout(fanout=1), FixedFanout(fanout=(0, 2, 1))])
def test_the_exact_expectation_knows_what_follows_a_whole_draft(policy):
    setup = replace(SSD, policy=policy)
    found, exact = evaluate(setup).metrics, expect(setup)
    for name in ("tokens_per_s", "hit_rate"):
        width = found["ci95"][name]
        assert abs(found[name] - getattr(exact, name)) < 3 * width / 1.96 + 1e-9


def test_runs_of_one_chance_make_chains_of_that_chance():
    alike = replace(SSD, method=Speculative(), acceptance=replace(LOGGED, accept=(0.8,)))
    assert expect(alike).acceptance_length == pytest.approx(1 + 0.8 + 0.8**2)


def test_a_round_begins_in_the_run_that_the_last_one_ended_in():
    # One draft a round. Fresh: right with .5; in a run: always, for ever, once it was right twice.
    rates, right = chain_rates((0.5, 0.5, 0.0), 1)
    # A round at place 0 goes on to place 2 with 1/4, where it fails: 4 of 5 rounds are fresh.
    assert rates == pytest.approx((0.8 * 0.5,))
    assert right == pytest.approx(0.5)


@pytest.mark.parametrize("lookahead", [1, 2, 5])
def test_simulated_rates_are_those_of_the_runs(lookahead):
    accepted = np.array([node for node, _ in outcomes(LOGGED, lookahead)])
    expected, _ = chain_rates(LOGGED.accept, lookahead)
    found = [(accepted >= j).mean() for j in range(1, lookahead + 1)]
    assert found == pytest.approx(expected, abs=0.02)


def test_runs_are_found_from_the_rates_that_they_make():
    run = (0.1, 0.7, 0.75, 0.8)
    rates, _ = chain_rates((*run, beyond(run)), 4)
    assert run_chances(rates)[:4] == pytest.approx(run, abs=1e-3)


def test_the_range_goes_from_nothing_to_all_and_says_so():
    run = simulate(SSD)
    ends = rank_range(SSD)
    assert ends.keys() == LABELS.keys()
    speeds = {name: end.metrics["tokens_per_s"] for name, end in ends.items()}
    assert speeds["nothing"] < speeds["worst"] < speeds["best"] < speeds["oracle"]
    assert ends["oracle"].metrics["hit_rate"] == 1
    assert ends["nothing"].metrics["hit_rate"] is None
    enter_range(run, ends, {})
    assert "no log tells the rank" in range_sentence(run)


def test_there_is_no_range_where_nothing_is_predicted():
    assert rank_range(replace(SSD, method=Speculative())) == {}


@pytest.mark.parametrize(
    ("change", "right"),
    [
        ({"accept": ()}, "acceptance.accept"),
        ({"between": 2.0}, "acceptance.between"),
        ({"miss_fanouts": (3,)}, "acceptance.miss_fanouts"),
        ({"miss_best": (0.1, 0.4)}, "acceptance.miss_best"),
    ],
)
def test_what_cannot_be_is_refused(change, right):
    with pytest.raises(ConfigError, match=right):
        replace(LOGGED, **change)
