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
        text.commit(speculation, 1)
    return found


def test_after_a_whole_draft_the_bonus_is_the_drafts_choice_as_often_as_the_next_is_accepted():
    ends = outcomes(LOGGED, 2)
    whole = [rank for node, rank in ends if node == 2]
    assert len(whole) / len(ends) == pytest.approx(0.8 * 0.7, abs=0.01)
    assert sum(rank == 0 for rank in whole) / len(whole) == pytest.approx(0.6, abs=0.015)
    # Outside the first two: neither that nor the best of those behind it.
    share = sum(not 0 <= rank < 2 for rank in whole) / len(whole)
    assert share == pytest.approx(0.4 * 0.4, abs=0.015)


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


def test_chains_are_as_by_position():
    setup = replace(SSD, method=Speculative())
    assert expect(setup).acceptance_length == pytest.approx(1 + 0.8 + 0.8 * 0.7)


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
