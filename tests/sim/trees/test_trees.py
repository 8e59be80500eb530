"""Token trees: which nodes they have, how their verifies end, and what they cost."""

from dataclasses import replace

import numpy as np
import pytest
from scripted import decode, machine, rounds, spans

from ssdsim import Setup, simulate
from ssdsim.acceptance.iid import Iid
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.outcomes import Outcome, Speculation
from ssdsim.policies.fixed_fanout import FixedFanout
from ssdsim.policies.oracle import Oracle
from ssdsim.policies.topk_outcomes import TopkOutcomes
from ssdsim.trees.base import halving, landing, parents_of, widths_of
from ssdsim.trees.confident import Confident
from ssdsim.trees.widths import Widths
from ssdsim.workloads.closed import Closed

IID = Iid(miss_scale=0.6)
TREE = machine(step=0.2, tree=0.3)


# The nodes


def test_static_trees_branch_level_by_level():
    tree = Widths((1, 2))
    paths = tree.grow(3, halving)
    assert paths == ((0,), (0, 0), (0, 1), (0, 0, 0), (0, 1, 0))
    assert parents_of(paths) == (-1, 0, 0, 1, 2)
    assert widths_of(paths) == {(): 1, (0,): 2, (0, 0): 1, (0, 1): 1, (0, 0, 0): 0, (0, 1, 0): 0}
    assert tree.nodes(3) == len(paths) == 5
    assert tree.passes(3) == (1, 1, 2)  # what a pass continues: the root, level 1, level 2


@pytest.mark.parametrize("depth", range(9))
def test_specinfers_tree_has_its_published_size(depth):
    tree = Widths((1, 1, 3))
    assert (
        tree.nodes(depth)
        == len(tree.grow(depth, halving))
        == (0, 1, 2, 5, 8, 11, 14, 17, 20)[depth]
    )
    assert tree.passes(depth) == (1, 1, 1, 3, 3, 3, 3, 3)[:depth]


def test_a_confident_tree_worked_by_hand():
    after = {(): [0.6, 0.3, 0.1], (0,): [0.9, 0.05, 0.05], (1,): [0.5, 0.4, 0.1]}
    # Values: (0) .6, (1) .3, (0, 0) .54, (0, 1) .03, (1, 0) .15, (1, 1) .12.
    tree = Confident(beam=2, children=2, most=4)
    assert tree.grow(2, after.__getitem__) == ((0,), (1,), (0, 0), (1, 0))
    assert Confident(beam=1, children=2, most=4).grow(2, after.__getitem__) == (
        ((0,), (1,), (0, 0), (0, 1))
    )
    assert tree.passes(3) == (1, 2, 2)
    assert tree.nodes(2) == 4
    assert Confident().passes(7) == (1, *[10] * 6)
    assert Confident().nodes(7) == 60


@pytest.mark.parametrize("seed", range(20))
def test_a_wide_beam_keeps_the_likeliest_nodes_of_all(seed):
    rng = np.random.default_rng(seed)
    known = {}

    def after(path):
        if path not in known:
            known[path] = sorted(rng.dirichlet([0.5] * 3), reverse=True)
        return known[path]

    def value(path):
        return np.prod([after(path[:at])[place] for at, place in enumerate(path)])

    every = Confident(beam=99, children=3, most=999).grow(3, after)
    assert len(every) == 3 + 9 + 27
    found = Confident(beam=99, children=3, most=7).grow(3, after)
    assert set(found) == set(sorted(every, key=value, reverse=True)[:7])
    assert all(path[:-1] in {(), *found} for path in found)
    assert all(path[-1] == 0 or (*path[:-1], path[-1] - 1) in found for path in found)


@pytest.mark.parametrize(
    ("ranks", "outcome"),
    [
        ((0, 0, 0, 4), Outcome(4, 4)),  # down to a leaf: nothing was sent after it
        ((0, 1, 0, 0), Outcome(5, 0)),
        ((0, 1, 3, 0), Outcome(3, 2)),  # after (0, 1) its one child was sent
        ((0, 2, 0, 0), Outcome(1, 0)),  # the third candidate is the first that was not sent
        ((5, 0, 0, 0), Outcome(0, 4)),
        ((0, -1, 0, 0), Outcome(1, -1)),
    ],
)
def test_a_verify_ends_where_the_ranks_of_the_texts_tokens_lead(ranks, outcome):
    assert landing(Widths((1, 2)).grow(3, halving), ranks) == outcome


def test_the_way_to_a_node_and_its_children():
    tree = Speculation((-1, 0, 0, 1, 2), "primary")
    assert [tree.path_to(node) for node in range(6)] == [
        (),
        (1,),
        (1, 2),
        (1, 3),
        (1, 2, 4),
        (1, 3, 5),
    ]
    assert [tree.children(node) for node in range(4)] == [(1,), (2, 3), (4,), (5,)]
    assert tree.depth(5) == 3


# What they cost


def test_a_tree_is_drafted_a_pass_a_level():
    script = ((0, 1, 0, 2), (0, 2, 0, 0), (1, 0, 0, 0))
    run = decode(Speculative(), script, lookahead=3, tokens=7, machine=TREE, tree=Widths((1, 2)))
    # Two steps and a pass over two nodes, .7; then a verify of 1 over 5 nodes and the root.
    assert spans(run, "speculate", "start", "end", "tokens", "used") == [
        pytest.approx(row) for row in [(0, 0.7, 5, 3), (1.7, 2.4, 5, 1), (3.4, 4.1, 5, 0)]
    ]
    assert spans(run, "verify", "tokens", "used") == [(6, 4), (6, 2), (6, 1)]
    assert rounds(run, "drafted", "accepted", "rank") == [(5, 3, 2), (5, 1, 0), (5, 0, 0)]


def test_verifies_cost_what_their_nodes_do():
    class PerToken(type(TREE.target)):
        def seconds(self, work, batch, tokens, context):
            return 1 + 0.01 * tokens if work == "verify" else 0.0

    costly = replace(TREE, target=PerToken(verify=0.0, step=0.0))
    scripts = [((0, 0, 0, 0),)] * 2
    run = decode(
        Speculative(), *scripts, lookahead=3, tokens=4, batch=2, machine=costly, tree=Widths((1, 2))
    )
    ((start, end),) = spans(run, "verify", "start", "end")
    assert end - start == pytest.approx(1.12)


@pytest.mark.parametrize(
    ("on_outcome", "end", "tokens", "drafted"),
    [("wait", 2.8, 36, 6), ("prune", 2.8, 26, 6), ("truncate", 2.3, 24, 4)],
)
def test_ssd_drafts_a_tree_for_every_outcome(on_outcome, end, tokens, drafted):
    # Levels of two nodes: a step of .2 and two passes of .5 before the first verify, from 1.2 to
    # 2.2. Meanwhile a tree for each of six outcomes: .1, then three passes of .5, of which two
    # have begun at 2.2. The second branch of the first tree is accepted, which was predicted.
    run = decode(
        Ssd(on_outcome),
        ((1, 0, 0, 0), (0, 0, 0, 0)),
        lookahead=3,
        tokens=8,
        policy=FixedFanout(fanout=(0, 1, 1, 1)),
        machine=machine(step=0.2, glue=0.1, tree=0.5),
        tree=Widths((2,)),
    )
    assert spans(run, "speculate", "start", "end", "tokens") == [pytest.approx((0, 1.2, 6))]
    first = spans(run, "prespeculate", "start", "end", "tokens", "used", "branches")[0]
    assert first == pytest.approx((1.2, end, tokens, drafted // 2, 6))
    assert rounds(run, "hit", "accepted", "drafted", "predicted")[:2] == [
        (None, 3, 6, 6),
        (True, drafted // 2, drafted, drafted),
    ]
    assert spans(run, "verify", "start", "end")[1] == pytest.approx((end, end + 1))


def test_passes_of_one_node_a_row_are_steps():
    run = decode(
        Speculative(), ((0, 0, 0),), lookahead=2, tokens=3, machine=TREE, tree=Widths((1,))
    )
    assert spans(run, "speculate", "start", "end") == [pytest.approx((0, 0.4))]


# Policies over trees


TWO_ONE = (-1, -1, 0, 1, 2, 3)  # two children of the root, a chain of two behind each
"""Nodes 1 and 2, then 3 after 1 and 4 after 2, then 5 and 6."""


def test_fixed_fanouts_go_to_every_node_by_its_depth():
    predictor = FixedFanout(fanout=(3, 1)).start(3, np.random.default_rng(0))
    found = predictor.predict(Speculation(TWO_ONE, "primary"), 99)
    assert found == {Outcome(0, 0), Outcome(0, 1), Outcome(0, 2), Outcome(1, 0), Outcome(2, 0)}


def test_a_tight_budget_goes_to_the_first_ranked_path_first():
    predictor = FixedFanout(fanout=(1, 1, 1, 1)).start(3, np.random.default_rng(0))
    found = predictor.predict(Speculation(TWO_ONE, "primary"), 5)
    assert found == {*(Outcome(node, 0) for node in (0, 1, 3, 5)), Outcome(2, 0)}


def test_the_likeliest_outcomes_of_a_tree_are_learnt_node_by_node():
    policy = TopkOutcomes(budget=2, prior=1.0)
    predictor = policy.start(3, np.random.default_rng(0))
    speculation = Speculation(TWO_ONE, "primary")
    for _ in range(64):
        predictor.observe(speculation, Outcome(4, 2))  # down the second branch, and then stop
    assert Outcome(4, 2) in predictor.predict(speculation, 2)
    for probability, node, _ in predictor.probabilities(speculation):
        assert 0 <= probability <= 1
        assert probability < 0.1 or node == -4


def test_predicting_side_branches_gives_more_hits():
    setup = Setup(
        Ssd(),
        Iid(alpha=0.5, miss_scale=0.7),
        machine(),
        Closed(4, 4, 600),
        FixedFanout(fanout=(2, 2, 2, 2)),
        lookahead=3,
        tree=Widths((3,)),
    )
    rates = [
        simulate(replace(setup, policy=replace(setup.policy, budget=budget))).metrics["hit_rate"]
        for budget in (8, 1024)
    ]
    assert rates[1] > rates[0] + 0.05


def test_an_oracle_hits_on_any_tree():
    run = simulate(
        Setup(Ssd(), IID, machine(), Closed(2, 4, 60), Oracle(), lookahead=3, tree=Widths((3, 2)))
    )
    assert run.rounds.hit.dropna().all()
    assert (run.rounds.accepted <= 3).all()
