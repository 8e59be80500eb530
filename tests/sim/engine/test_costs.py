"""Worked timelines of what a machine adds to passes: links, messages, neighbours, draws."""

from dataclasses import replace

import pytest
from scripted import decode, machine, near, rounds, spans

from ssdsim.latency.machine import Drawing, Drawings, Link, Slowdown
from ssdsim.latency.table import Table
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.ssd import Ssd
from ssdsim.policies.uniform_fanout import UniformFanout
from ssdsim.sampling.settings import Sampling

ONE = UniformFanout(fanout=1)


def test_link_and_lookup_delay_every_round():
    slow = machine(link=Link(latency=0.125), serve=0.05)
    run = decode(Ssd(), ((3, 0), (3, 0)), lookahead=3, policy=ONE, machine=slow)
    assert rounds(run, "start", "end") == near([(0.0, 1.9), (1.9, 3.2)])


def test_link_bandwidth_carries_probabilities_only_where_the_rule_needs_them():
    link = Link(latency=1.0, bandwidth=1000.0, vocabulary=500)
    assert link.exchange(3, Sampling()) == 2 + 3 * 8 / 1000
    assert link.exchange(3, Sampling(temperature=1.0)) == 2 + 3 * 1008 / 1000
    assert link.exchange(3, Sampling(temperature=1.0, coupling="gumbel")) == 2 + 3 * 8 / 1000


def test_busy_neighbours_slow_each_other():
    # Alone: verify 1, tree 0.6. Together the target runs at 1/2 and the draft at 1/3 of its speed:
    # the tree takes 1.8, meanwhile 0.9 of the verify are done, and 0.1 is left to do alone.
    slow = machine(slowdown=Slowdown(target=2.0, draft=3.0))
    run = decode(Ssd(), ((3, 0), (3, 0)), lookahead=3, policy=ONE, machine=slow)
    assert spans(run, "prespeculate")[0] == near([(0.6, 2.4, 12, 3)])[0]
    assert rounds(run, "start", "end")[0] == near([(0.0, 2.5)])[0]


def test_every_piece_of_work_begins_a_message_later():
    run = decode(Autoregressive(), ((0, 0),) * 2, machine=machine(dispatch=0.1))
    assert spans(run, "verify") == near([(0.1, 1.1, 1, 1), (1.2, 2.2, 1, 1)])
    run = decode(
        Ssd(),
        ((3, 0), (1, 5)),
        lookahead=3,
        policy=ONE,
        machine=machine(glue=0.1, dispatch=0.1),
    )
    assert spans(run, "speculate") == near([(0.1, 0.7, 3, 3)])
    # The tree is asked for with the verify; its steps are asked for when the glue pass is done.
    assert [row[:2] for row in spans(run, "prespeculate")] == near([(0.8, 1.6), (1.9, 2.7)])
    assert [row[:2] for row in spans(run, "verify")] == near([(0.8, 1.8), (1.9, 2.9)])


def test_nobody_is_slowed_by_a_message_on_its_way():
    shared = machine(glue=0.1, dispatch=0.1, slowdown=Slowdown(target=2.0))
    run = decode(Ssd(), ((3, 0), (1, 5)), lookahead=3, policy=ONE, machine=shared)
    # Beside the tree, from .8 to 1.6, half as much is done: .4 of the verify; the rest is alone.
    assert next(row[:2] for row in spans(run, "verify")) == pytest.approx((0.8, 2.2))


def test_drawing_takes_a_part_a_pass_and_a_part_a_distribution():
    drawn = Drawings(gumbel=Drawing(target=0.1, target_token=0.05, draft=0.01, draft_token=0.02))
    run = decode(
        Ssd(),
        ((3, 0), (1, 5)),
        lookahead=3,
        policy=ONE,
        machine=machine(glue=0.1, sampling=drawn),
        sampling=Sampling(1.0, "gumbel"),
    )
    assert spans(run, "speculate") == near([(0, 3 * 0.23, 3, 3)])
    tree = 0.1 + 0.01 + 4 * 0.02 + 3 * (0.2 + 0.01 + 4 * 0.02)
    assert next(row[:2] for row in spans(run, "prespeculate")) == pytest.approx((0.69, 0.69 + tree))
    assert next(row[:2] for row in spans(run, "verify")) == pytest.approx((0.69, 0.69 + 1.3))


def test_padded_verifies_all_have_the_largest_shape():
    size = {"tokens": [1, 9], "context": [0, 99], "seconds": [[1.0, 2.0], [9.0, 10.0]]}
    target = Table({"verify": size, "prefill": {"seconds": 0.0}})
    seconds = [
        [end - start for start, end, *_ in spans(run, "verify")]
        for padding in (0, 33)
        for run in [
            decode(
                Autoregressive(),
                ((0, 0),) * 2,
                machine=replace(machine(), target=target, padding=padding),
            )
        ]
    ]
    # The prompt's 8 tokens, 2 to come and the pass's own are 11: one unit of padding.
    assert seconds[0] == pytest.approx([1 + 8 / 99, 1 + 9 / 99])
    assert seconds[1] == pytest.approx([1 + 33 / 99] * 2)
