"""Small worked timelines with exact numbers."""

from dataclasses import replace

import pytest
from scripted import decode, machine, rounds

from ssdsim.acceptance.base import Sampling
from ssdsim.backups.random import Random
from ssdsim.latency.table import Table
from ssdsim.machine import Drawing, Drawings, Link, Slowdown
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.policies.fixed_fanout import FixedFanout
from ssdsim.policies.oracle import Oracle
from ssdsim.policies.uniform_fanout import UniformFanout

NOTHING = UniformFanout(fanout=0)
ONE = UniformFanout(fanout=1)


def near(rows):
    return [tuple(pytest.approx(value, abs=1e-9) for value in row) for row in rows]


def spans(run, kind):
    chosen = run.spans[run.spans.kind == kind]
    return [
        tuple(row) for row in chosen[["start", "end", "tokens", "used"]].itertuples(index=False)
    ]


def test_autoregressive_takes_one_verify_a_token():
    run = decode(Autoregressive(), ((0, 0),) * 4)
    assert rounds(run, "drafted", "accepted", "start", "end") == [
        (0, 0, i, i + 1) for i in range(4)
    ]
    assert run.metrics["tokens_per_s"] == 1.0
    assert run.metrics["draft_busy"] is None


def test_speculative_on_one_timeline_drafts_then_verifies():
    run = decode(Speculative(), ((3, 0), (1, 2), (0, 0)), lookahead=3)
    assert rounds(run, "drafted", "accepted", "start", "end") == near(
        [(3, 3, 0.0, 1.6), (3, 1, 1.6, 3.2), (3, 0, 3.2, 4.8)]
    )
    assert spans(run, "speculate") == near([(0, 0.6, 3, 3), (1.6, 2.2, 3, 1), (3.2, 3.8, 3, 0)])
    assert spans(run, "verify") == near([(0.6, 1.6, 4, 4), (2.2, 3.2, 4, 2), (3.8, 4.8, 4, 1)])
    assert run.metrics["wasted_draft_token_fraction"] == pytest.approx(5 / 9)
    assert run.metrics["wasted_draft_seconds"] == pytest.approx(0.6 * (0 + 2 / 3 + 1))


def test_hit_hides_all_drafting_and_a_miss_pays_for_it():
    run = decode(
        Ssd(), ((3, 0), (1, 5), (0, 0)), lookahead=3, policy=ONE, machine=machine(glue=0.1)
    )
    assert rounds(run, "start", "end", "accepted") == near(
        [(0.0, 1.6, 3), (1.6, 2.6, 1), (2.6, 4.2, 0)]
    )
    assert rounds(run, "hit", "speculator", "predicted") == [
        (None, "backup", 4),
        (True, "primary", 4),
        (False, "backup", 4),
    ]
    # Four branches of three tokens; the second tree's outcome missed, the first one's was used.
    assert spans(run, "prespeculate") == near(
        [(0.6, 1.3, 12, 1), (1.6, 2.3, 12, 0), (3.2, 3.9, 12, 0)]
    )


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


def test_two_rows_share_a_round_and_a_miss_delays_both():
    scripts = ((3, 0), (3, 0), (0, 0)), ((1, 9), (2, 0), (2, 0))
    run = decode(Ssd(), *scripts, lookahead=3, policy=ONE, batch=2, tokens=8)
    assert rounds(run, "start", "end", "seq") == near(
        [
            (0.0, 1.6, 0),
            (0.0, 1.6, 1),
            (1.6, 3.2, 0),
            (1.6, 3.2, 1),
            (3.2, 4.2, 1),
        ]
    )
    assert rounds(run, "hit", "speculator") == [
        (None, "backup"),
        (None, "backup"),
        (True, "primary"),
        (False, "backup"),
        (True, "primary"),
    ]


def test_redraft_all_hands_hits_to_the_backup_too():
    scripts = ((3, 0), (3, 0)), ((1, 9), (2, 0))
    run = decode(Ssd(redraft="all"), *scripts, lookahead=3, policy=ONE, batch=2, tokens=5)
    second = run.rounds[run.rounds["round"] == 1]
    assert list(second.hit) == [True, False]
    assert list(second.speculator) == ["backup", "backup"]


def test_random_backup_costs_its_seconds_and_is_never_accepted():
    run = decode(
        Ssd(), ((3, 9), (3, 0)), lookahead=3, policy=ONE, backup=Random(seconds=0.25), tokens=4
    )
    assert rounds(run, "start", "end", "accepted")[0] == near([(0.0, 1.25, 0)])[0]


def test_oracle_always_hits():
    run = decode(Ssd(), ((3, 7), (0, 99), (2, 31), (1, 0)), lookahead=3, policy=Oracle())
    assert list(run.rounds.hit) == [None, True, True, True]


def test_link_and_lookup_delay_every_round():
    slow = machine(link=Link(latency=0.125), serve=0.05)
    run = decode(Ssd(), ((3, 0), (3, 0)), lookahead=3, policy=ONE, machine=slow)
    assert rounds(run, "start", "end") == near([(0.0, 1.9), (1.9, 3.2)])


def test_link_bandwidth_carries_probabilities_only_where_the_rule_needs_them():
    from ssdsim.acceptance.base import Sampling

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


def test_a_pruned_tree_gives_its_bandwidth_back():
    # From 1.5 both are busy. The target needs 1 * 2 = 2: the verify ends at 3.5, when the draft has
    # done 2 / 2 = 1.0 of 1.6. The step in flight ends at 1.1, alone: 0.1 later.
    slow = machine(step=0.5, glue=0.1, slowdown=Slowdown(target=2.0, draft=2.0))
    run = decode(Ssd(on_outcome="prune"), ((3, 9), (1, 0)), lookahead=3, policy=ONE, machine=slow)
    assert rounds(run, "start", "end") == near([(0.0, 3.5), (3.5, 3.6 + 1.5 + 2.0)])


def test_prefill_runs_side_by_side_on_two_devices_and_in_turn_on_one():
    wide = machine(prefill=0.5)
    apart = decode(Speculative(draft_on="own"), ((0, 0),), lookahead=1, machine=wide)
    shared = decode(Speculative(), ((0, 0),), lookahead=1, machine=wide)
    alone = decode(Autoregressive(), ((0, 0),), machine=wide)
    starts = [run.rounds.start[0] for run in (apart, shared, alone)]
    assert starts == [0.5, 1.0, 0.5]


def test_sequences_enter_at_round_boundaries():
    run = decode(
        Speculative(), *[((0, 0),) * 2] * 3, lookahead=1, batch=2, machine=machine(prefill=0.5)
    )
    # Both prefills, one after the other on the same device, then two rounds of 1.2.
    assert list(run.sequences.admitted) == pytest.approx([0.0, 0.0, 1.0 + 2.4])
    assert list(run.sequences.reason) == ["length"] * 3


def test_last_round_delivers_only_what_is_left():
    run = decode(Speculative(), ((3, 0), (3, 0)), tokens=6, lookahead=3)
    assert rounds(run, "accepted", "rank") == [(3, 0), (1, -1)]
    assert run.metrics["tokens"] == 6


def test_fixed_fanout_predicts_what_it_lists():
    script = ((1, 1), (1, 0), (0, 0))
    run = decode(Ssd(), script, lookahead=3, policy=FixedFanout(fanout=(0, 2)))
    assert list(run.rounds.predicted) == [2, 2, 2]
    assert list(run.rounds.hit) == [None, True, True]


def test_ssd_that_predicts_nothing_is_speculation_on_two_devices():
    scripts = ((3, 0), (1, 5), (0, 0), (2, 1)), ((1, 0), (3, 0), (2, 9), (0, 0))
    wide = machine(link=Link(latency=0.1))
    columns = ("seq", "drafted", "accepted", "start", "end")
    same = [
        rounds(
            decode(method, *scripts, lookahead=3, batch=2, machine=wide, policy=NOTHING, tokens=10),
            *columns,
        )
        for method in (Ssd(), Speculative(draft_on="own"))
    ]
    assert same[0] == same[1]


def test_speculation_without_lookahead_is_autoregressive():
    columns = ("seq", "round", "drafted", "speculator", "accepted", "rank", "start", "end")
    same = [
        rounds(decode(method, ((2, 1),) * 3, lookahead=0, tokens=3), *columns)
        for method in (Speculative(), Autoregressive())
    ]
    assert same[0] == same[1]


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
