"""Worked timelines of two phases, and what they come to at their limits."""

import pytest
from scripted import decode, machine, near, rounds, spans

from ssdsim import Setup, simulate
from ssdsim.acceptance.iid import Iid
from ssdsim.backups.shallow import Shallow
from ssdsim.errors import ConfigError
from ssdsim.latency.machine import Link, Slowdown
from ssdsim.methods.ssd import Ssd
from ssdsim.methods.two_phase import TwoPhase
from ssdsim.policies.exit_target import ExitTarget
from ssdsim.policies.oracle import Oracle
from ssdsim.policies.uniform_fanout import UniformFanout
from ssdsim.workloads.closed import Closed

NOTHING = UniformFanout(fanout=0)
ONE = UniformFanout(fanout=1)
SCRIPT = (3, 0), (1, 5), (1, 4), (0, 0)
ROUND = "drafted", "accepted", "start", "end", "hit", "predicted"


def test_what_the_target_says_is_drafted_after_the_first_phase():
    method = TwoPhase(0.5, Oracle(), first_depth=2, second_depth=1)
    run = decode(method, SCRIPT, lookahead=3, policy=ONE)
    # Four branches for four outcomes, two steps from the verify's begin: over by its half. There
    # the target names what it will say; where that is new, a step for it follows.
    assert rounds(run, *ROUND)[:4] == near(
        [
            (3, 3, 0.0, 1.6, None, 4),
            (2, 1, 1.6, 2.6, True, 4),
            (1, 1, 2.6, 3.6, True, 3),
            (1, 0, 3.6, 4.6, True, 2),
        ]
    )
    assert spans(run, "prespeculate")[:5] == near(
        [
            (0.6, 1.0, 8, 1),
            (1.6, 2.0, 6, 0),
            (2.1, 2.3, 1, 1),
            (2.6, 3.0, 4, 0),
            (3.1, 3.3, 1, 0),
        ]
    )


def test_a_late_first_phase_holds_the_second_up_and_a_late_message_finds_nobody():
    method = TwoPhase(0.3, Oracle(), first_depth=2, second_depth=1)
    late = decode(method, SCRIPT, lookahead=3, policy=ONE)
    assert spans(late, "prespeculate", "start", "end")[2] == near([(2.0, 2.2)])[0]
    # A link of .8 brings the message of the half after the end; both ways of the outcome cost 1.6.
    far = decode(method, SCRIPT, lookahead=3, policy=ONE, machine=machine(link=Link(latency=0.8)))
    assert rounds(far, "start", "end", "hit")[1:3] == near([(3.2, 5.8, True), (5.8, 9.0, False)])


def test_the_pass_that_gives_the_candidates_is_paid_for_once():
    method = TwoPhase(0.5, Oracle(), first_depth=1, second_depth=1)
    run = decode(method, SCRIPT, lookahead=3, policy=ONE, machine=machine(glue=0.1, dispatch=0.01))
    second = spans(run, "prespeculate", "start", "end")[1:3]
    # The verify begins at b = 1.62 + .01; glue, a second message and a step; then at b + .5.
    assert second == near([(1.63, 1.94), (2.14, 2.34)])
    alone = decode(method, SCRIPT, lookahead=3, policy=NOTHING, machine=machine(glue=0.1))
    assert spans(alone, "prespeculate", "start", "end")[0] == near([(1.1, 1.4)])[0]


def test_depths_are_what_fits():
    fitting = TwoPhase(0.5, Oracle())
    run = decode(fitting, SCRIPT, lookahead=5, policy=ONE)
    # Steps of .2: two before the half, two more from .5 to the end, whatever the branches.
    assert rounds(run, "drafted")[:3] == [(5,), (2,), (2,)]
    assert spans(run, "prespeculate", "tokens")[1:3] == [(6,), (2,)]
    # Where nothing fits nothing is prepared.
    slow = decode(fitting, SCRIPT, lookahead=5, policy=ONE, machine=machine(step=0.6))
    assert rounds(slow, "predicted", "hit") == [(0, None)] * 4


def test_contention_delays_the_message():
    method = TwoPhase(0.5, Oracle(), first_depth=1, second_depth=1)
    wide = machine(slowdown=Slowdown(2.0, 1.0))
    run = decode(method, SCRIPT, lookahead=3, policy=ONE, machine=wide)
    # While the draft works, .2 in each phase, the verify takes twice as long: the first round ends
    # at .6 + 1.1, and in the next half of the verify is done after .6 and all of it after 1.2.
    assert spans(run, "prespeculate", "start", "end")[1:3] == near([(1.7, 1.9), (2.3, 2.5)])
    assert rounds(run, "start", "end")[1] == near([(1.7, 2.9)])[0]


@pytest.mark.parametrize("more", [{}, {"machine": machine(slowdown=Slowdown(1.5, 1.5))}])
def test_a_target_that_speaks_at_its_end_leaves_plain_ssd(more):
    found = [
        decode(method, SCRIPT, lookahead=3, policy=ONE, backup=Shallow(2), **more)
        for method in (TwoPhase(1.0, Oracle(), first_depth=3), Ssd())
    ]
    assert found[0].tables == found[1].tables


def test_without_an_ear_the_second_phase_takes_what_comes_next_in_the_draft_s_own_order():
    policy = UniformFanout(budget=4, fanout=2)  # of four nodes one candidate each, then two
    run = decode(TwoPhase(0.5, first_depth=2, second_depth=1), SCRIPT, lookahead=3, policy=policy)
    assert spans(run, "prespeculate", "branches")[:2] == [(4,), (4,)]
    assert run.rounds.predicted[0] == 8


def test_without_a_second_prediction_it_is_ssd_with_a_shorter_backup():
    both = {"tokens": 8, "lookahead": 3, "batch": 2, "policy": ONE, "backup": Shallow(2)}
    found = [
        decode(method, SCRIPT, SCRIPT[::-1], **both)
        for method in (TwoPhase(0.5, NOTHING, first_depth=3, second_depth=3), Ssd())
    ]
    assert found[0].tables == found[1].tables
    assert set(found[0].rounds.drafted) == {2, 3}


def test_a_perfect_second_prediction_is_the_oracle():
    found = [
        decode(method, SCRIPT, lookahead=3, policy=policy)
        for method, policy in (
            (TwoPhase(0.1, Oracle(), second_depth=3), NOTHING),
            (Ssd(), Oracle()),
        )
    ]
    assert rounds(found[0], *ROUND) == near(rounds(found[1], *ROUND))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"exit": 0.0}, r"method\.exit=0\.0: needs a share of the verify in \(0, 1\]"),
        ({"first_depth": "verify"}, r'method\.first_depth=.verify.: needs .* or "exit"'),
        ({"second_depth": -1}, r"method\.second_depth=-1: needs"),
        ({"second": UniformFanout("verify")}, r"method\.second\.budget=.verify.: needs a number"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, told):
    with pytest.raises(ConfigError, match=told):
        TwoPhase(**options)


def test_an_early_view_that_nobody_knows_is_refused():
    with pytest.raises(ConfigError, match=r"method\.second='exit_target': needs an acceptance"):
        decode(TwoPhase(second=ExitTarget()), SCRIPT, lookahead=3, policy=ONE)
    with pytest.raises(ConfigError, match=r"policy='exit_target': goes by .* needs method=two_ph"):
        decode(Ssd(), SCRIPT, lookahead=3, policy=ExitTarget())


def test_what_a_draft_loses_by_early_states_is_lost_of_every_token():
    perfect = Setup(
        TwoPhase(0.5, Oracle(), first_depth=4, second_depth=4, loss=0.2),
        Iid(alpha=1.0),
        machine(),
        Closed(8, 0, 2000),
        ONE,
        lookahead=4,
    )
    tokens = simulate(perfect).metrics["acceptance_length"]
    assert tokens == pytest.approx(sum(0.8**k for k in range(5)), rel=0.02)
    with pytest.raises(ConfigError, match=r"method\.loss=0\.2: must be 0: nobody knows"):
        decode(TwoPhase(second=ExitTarget(), loss=0.2), SCRIPT, lookahead=3, policy=ONE)
