"""Why rounds hit or missed."""

from dataclasses import replace

import numpy as np
import pytest
from scripted import decode, machine

from ssdsim import simulate
from ssdsim.bench import SETUP
from ssdsim.decoding import detail
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.ssd import Ssd
from ssdsim.policies.fixed_fanout import FixedFanout
from ssdsim.policies.random_outcomes import RandomOutcomes
from ssdsim.policies.uniform_fanout import UniformFanout
from ssdsim.run.misses import MISSES, VERDICTS, verdicts
from ssdsim.run.trace import Run
from ssdsim.trees.widths import Widths
from ssdsim.workloads.closed import Closed

END = (0, 0)


def names(run):
    return [VERDICTS[kind] for kind in verdicts(run).kinds]


def played(*ends, method=Ssd(), fanout=(2, 0, 1, 1), **more):
    policy = FixedFanout(fanout=fanout)
    return decode(method, ends, lookahead=3, policy=policy, detailed=True, **more)


def test_every_miss_has_its_cause():
    run = played((3, 0), (2, 4), (0, -1), (1, 0), (0, 1), END)
    assert names(run) == [
        "first round",
        "hit",
        "rank beyond F_k",
        "outside the candidates",
        "k not covered",
        "hit",
    ]


def test_a_fanout_that_would_have_spared_a_miss_and_what_it_costs_a_round():
    run = played((2, 4), (1, 1), (0, -1), (2, 0), END)
    found = verdicts(run)
    assert [VERDICTS[kind] for kind in found.kinds[1:4]] == [
        "rank beyond F_k",
        "k not covered",
        "outside the candidates",
    ]
    assert found.needs.tolist() == [-1, 5, 2, -1, -1]
    # F_2 is 1 in every round, F_1 is 0.
    assert found.costs[1:3].tolist() == [4.0, 2.0]
    assert np.isnan(found.costs[[0, 3, 4]]).all()


def test_in_a_tree_a_fanout_is_paid_at_every_node_of_its_depth():
    ranks = ((0, 5, 0, 0), (0, 0, 0, 0))
    run = decode(
        Ssd(),
        ranks,
        tokens=4,
        lookahead=2,
        tree=Widths((2, 1)),
        policy=UniformFanout(fanout=2),
        detailed=True,
    )
    found = verdicts(run)
    assert VERDICTS[found.kinds[1]] == "rank beyond F_k"
    assert (found.needs[1], found.costs[1]) == (5, 2 * (5 - 2))


def test_hits_that_were_of_less_use():
    redrafted = decode(
        Ssd(redraft="all"),
        ((3, 0), (3, 0)),
        ((1, 9), END),
        lookahead=3,
        policy=UniformFanout(fanout=1),
        batch=2,
        tokens=8,
        detailed=True,
    )
    assert names(redrafted)[2:4] == ["hit, redrafted", "rank beyond F_k"]
    short = played((3, 0), END, method=Ssd("truncate"), machine=machine(verify=0.3))
    assert names(short)[1] == "hit, cut short"
    pruned = played((3, 0), END, method=Ssd("prune"), machine=machine(verify=0.3))
    assert not pruned.outcomes.finished.all()
    assert names(pruned)[1] == "hit"
    empty = decode(Ssd(), ((0, 0), END), lookahead=0, policy=UniformFanout(fanout=1), detailed=True)
    assert names(empty)[1] == "hit, nothing drafted"


@pytest.mark.parametrize("policy", [UniformFanout(fanout=1), RandomOutcomes(budget=8)], ids=str)
@pytest.mark.parametrize("batch", [1, 3])
def test_causes_add_up_to_the_misses(policy, batch, monkeypatch):
    monkeypatch.setattr(detail, "MOST_ROUNDS", 60)
    setup = replace(
        SETUP,
        policy=policy,
        batch=batch,
        workload=Closed(4, 8, 60),
        method=Ssd(redraft="all"),
        lookahead=4,
    )
    run = simulate(setup, detailed=True)
    counts = verdicts(run).counts()
    misses = (run.rounds.hit == False).sum()  # noqa: E712 - a null is neither
    assert sum(counts.get(name, 0) for name in MISSES) == misses > 10
    assert counts["miss, not recorded"] > 0
    assert sum(counts.values()) == len(run.rounds)
    assert counts["first round"] == 4
    assert ("hit, redrafted" in counts) == (batch > 1)


def test_a_fanout_costs_what_it_adds_to_rounds_that_had_less():
    setup = replace(SETUP, policy=RandomOutcomes(budget=8, candidates=4), lookahead=2)
    run = simulate(replace(setup, workload=Closed(1, 8, 60)), detailed=True)
    found = verdicts(run)
    had = run.outcomes.groupby(["round", "node"]).size().unstack(fill_value=0)
    missed = np.flatnonzero(found.needs > 0)
    assert len(missed) > 5
    for row in missed:
        k = run.speculations.node[row - 1]
        added = (found.needs[row] - had[k]).clip(lower=0).mean()
        assert found.costs[row] == pytest.approx(added)
    assert (had.to_numpy().max(axis=0) > found.needs[missed].min()).any()


def test_a_run_without_detail_tells_hits_from_misses():
    setup = replace(SETUP, workload=Closed(2, 8, 60))
    run = simulate(setup)
    counts = verdicts(run).counts()
    assert counts["hit"] == run.rounds.hit.sum()
    assert counts["miss, not recorded"] == (run.rounds.hit == False).sum()  # noqa: E712
    alone = simulate(replace(setup, method=Autoregressive()), detailed=True)
    assert set(verdicts(alone).counts()) == {"first round", "nothing predicted"}


def test_an_empty_run_has_no_verdicts():
    run = simulate(replace(SETUP, workload=Closed(1, 8, 8)), detailed=True)
    empty = Run(run.info | {"detailed_rounds": 0}, {n: t[:0] for n, t in run.tables.items()})
    assert verdicts(empty).counts() == {}


def test_verdicts_are_printed_a_line_each():
    assert str(verdicts(played((3, 0), END))) == "       1  first round\n       1  hit"
