"""Worked timelines of trees that are still being drafted when their verify ends."""

from dataclasses import replace

import pytest
from scripted import decode, machine, near, rounds

from ssdsim.latency.machine import Slowdown
from ssdsim.methods.ssd import Ssd
from ssdsim.policies.uniform_fanout import UniformFanout

ONE = UniformFanout(fanout=1)
LONG = machine(step=0.5, glue=0.1)  # a tree of 1.6 beside a verify of 1


@pytest.mark.parametrize(
    ("on_outcome", "second", "drafted"),
    [
        ("wait", (2.5, 4.1), 3),  # verify from 3.1, when the tree is done
        ("prune", (2.5, 4.1), 3),  # the winner alone is no faster: steps cost the same
        ("truncate", (2.5, 3.6), 2),  # the step in flight ends at 2.6, two tokens are there
    ],
)
def test_late_tree_on_a_hit(on_outcome, second, drafted):
    run = decode(
        Ssd(on_outcome=on_outcome), ((3, 0), (1, 0)), lookahead=3, policy=ONE, machine=LONG
    )
    assert rounds(run, "start", "end", "drafted")[1] == (*near([second])[0], drafted)


@pytest.mark.parametrize(
    ("on_outcome", "end"),
    [
        ("wait", 3.1 + 1.5 + 1),  # the miss waits for the whole tree, then the backup drafts
        ("prune", 2.6 + 1.5 + 1),  # it stops after the step in flight
        ("truncate", 2.6 + 1.5 + 1),
    ],
)
def test_late_tree_on_a_miss(on_outcome, end):
    run = decode(
        Ssd(on_outcome=on_outcome), ((3, 9), (1, 0)), lookahead=3, policy=ONE, machine=LONG
    )
    assert rounds(run, "start", "end", "hit")[1] == (*near([(2.5, end)])[0], False)


def test_pruned_tree_speeds_up_where_fewer_branches_are_cheaper():
    class PerBranch(type(LONG.draft)):
        def seconds(self, work, batch, tokens, context):
            return 0.1 * tokens if work == "tree" else super().seconds(work, batch, tokens, context)

    draft = PerBranch(verify=0.0, step=0.5, glue=0.1)
    run = decode(
        Ssd(on_outcome="prune"),
        ((3, 0), (1, 0)),
        lookahead=4,
        policy=ONE,
        machine=replace(LONG, draft=draft),
    )
    # Five branches: the verify ends at 3, in the tree's second step, which ends 0.1 later; the
    # winner's other two steps take 0.1 each.
    assert rounds(run, "start", "end")[1] == near([(3.0, 3.3 + 1.0)])[0]


def test_a_truncated_tree_without_steps_hands_over_none():
    slow = machine(verify=0.5, glue=0.7)
    run = decode(Ssd("truncate"), ((1, 0),), tokens=3, lookahead=0, policy=ONE, machine=slow)
    assert rounds(run, "drafted", "accepted") == [(0, 0)] * 3


def test_truncated_tree_hands_over_at_least_one_token():
    slow = machine(step=2.0, glue=0.5)
    run = decode(
        Ssd(on_outcome="truncate"), ((3, 0), (1, 0)), lookahead=3, policy=ONE, machine=slow
    )
    # Verify ends at 7; the tree began at 6, its glue ends at 6.5 and its first step at 8.5.
    assert rounds(run, "start", "end", "drafted")[1] == (*near([(7.0, 9.5)])[0], 1)


def test_a_pruned_tree_gives_its_bandwidth_back():
    # From 1.5 both are busy. The target needs 1 * 2 = 2: the verify ends at 3.5, when the draft has
    # done 2 / 2 = 1.0 of 1.6. The step in flight ends at 1.1, alone: 0.1 later.
    slow = machine(step=0.5, glue=0.1, slowdown=Slowdown(target=2.0, draft=2.0))
    run = decode(Ssd(on_outcome="prune"), ((3, 9), (1, 0)), lookahead=3, policy=ONE, machine=slow)
    assert rounds(run, "start", "end") == near([(0.0, 3.5), (3.5, 3.6 + 1.5 + 2.0)])
