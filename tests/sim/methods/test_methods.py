"""Small worked timelines with exact numbers."""

import pytest
from scripted import decode, machine, near, rounds, spans

from ssdsim.backups.random import Random
from ssdsim.latency.machine import Link
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.policies.fixed_fanout import FixedFanout
from ssdsim.policies.oracle import Oracle
from ssdsim.policies.uniform_fanout import UniformFanout

NOTHING = UniformFanout(fanout=0)
ONE = UniformFanout(fanout=1)


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
