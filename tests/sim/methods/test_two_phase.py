"""Worked timelines of two phases, and what they come to at their limits."""

from dataclasses import replace

import pytest
from scripted import decode, machine, near, rounds, spans

from ssdsim import Setup, simulate
from ssdsim.acceptance.iid import Iid
from ssdsim.acceptance.language_model import LanguageModel
from ssdsim.backups.shallow import Shallow
from ssdsim.errors import ConfigError
from ssdsim.latency.machine import Link, Slowdown, Speaking
from ssdsim.lengths.confidence import Confidence
from ssdsim.lengths.fixed import Fixed
from ssdsim.methods.ssd import Ssd
from ssdsim.methods.two_phase import TwoPhase
from ssdsim.policies.exit_target import ExitTarget
from ssdsim.policies.oracle import Oracle
from ssdsim.policies.partial_oracle import PartialOracle
from ssdsim.policies.uniform_fanout import UniformFanout
from ssdsim.sampling.settings import Sampling
from ssdsim.trees.confident import Confident
from ssdsim.trees.widths import Widths
from ssdsim.workloads.closed import Closed

NOTHING = UniformFanout(fanout=0)
ONE = UniformFanout(fanout=1)
SCRIPT = (3, 0), (1, 5), (1, 4), (0, 0)
RANKS = (0, 0, 1, 2), (1, 0, 4, 0), (0, 5, 0, 0)  # of the text's tokens, for token trees
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


@pytest.mark.parametrize(
    ("how", "drafted", "start"), [("wait", 5, 2.5), ("prune", 5, 2.5), ("truncate", 3, 2.1)]
)
def test_an_outcome_that_comes_before_the_second_phase_is_done(how, drafted, start):
    method = TwoPhase(0.5, Oracle(), first_depth=0, second_depth=5, on_outcome=how)
    run = decode(method, SCRIPT, lookahead=5, policy=NOTHING)
    # Heard at 1.5 in a verify from 1 to 2, and five steps of .2 would end at 2.5; cut short it
    # hands over the two that are done at 2, and the one in flight.
    verifies = spans(run, "verify", "start", "end")
    assert verifies[:2] == near([(1.0, 2.0), (start, start + 1)])
    assert rounds(run, "drafted", "hit")[1] == (drafted, True)


@pytest.mark.parametrize(("how", "start"), [("wait", 2.5), ("prune", 2.1), ("truncate", 2.1)])
def test_a_second_phase_in_vain_may_be_stopped(how, start):
    vain = PartialOracle(budget=2, share=0.0)
    method = TwoPhase(0.5, vain, first_depth=2, second_depth=5, on_outcome=how)
    run = decode(method, SCRIPT, lookahead=5, policy=ONE)
    # The first phase, over at 1.4, has what comes; the second would go on until 2.5.
    verifies = spans(run, "verify", "start", "end")
    assert verifies[:2] == near([(1.0, 2.0), (start, start + 1)])
    assert spans(run, "prespeculate", "used")[:2] == [(1,), (0,)]
    assert rounds(run, "drafted", "hit")[1] == (2, True)


@pytest.mark.parametrize(
    ("how", "drafted", "start"), [("wait", 5, 3.0), ("prune", 5, 3.0), ("truncate", 4, 2.7)]
)
def test_an_outcome_that_comes_before_the_first_phase_is_done(how, drafted, start):
    method = TwoPhase(0.5, Oracle(), first_depth=5, second_depth=5, on_outcome=how)
    run = decode(method, SCRIPT, lookahead=5, policy=ONE, machine=machine(step=0.3))
    # Steps from 1.5 on end at 1.8, ..., 3.0, and the verify at 2.5: nobody listens in between.
    assert spans(run, "verify", "start", "end")[:2] == near([(1.5, 2.5), (start, start + 1)])
    assert rounds(run, "end")[0] == near([(2.5,)])[0]
    assert rounds(run, "drafted", "hit")[1] == (drafted, True)


def test_contention_delays_the_message():
    method = TwoPhase(0.5, Oracle(), first_depth=1, second_depth=1)
    wide = machine(slowdown=Slowdown(2.0, 1.0))
    run = decode(method, SCRIPT, lookahead=3, policy=ONE, machine=wide)
    # While the draft works, .2 in each phase, the verify takes twice as long: the first round ends
    # at .6 + 1.1, and in the next half of the verify is done after .6 and all of it after 1.2.
    assert spans(run, "prespeculate", "start", "end")[1:3] == near([(1.7, 1.9), (2.3, 2.5)])
    assert rounds(run, "start", "end")[1] == near([(1.7, 2.9)])[0]


def test_speaking_takes_a_verify_longer_and_delays_the_message():
    costly = machine(speaking=Speaking(head=0.3, view=0.05))
    method = TwoPhase(0.5, Oracle(), first_depth=2, second_depth=1)
    run = decode(method, SCRIPT, lookahead=3, policy=ONE, machine=costly)
    # A verify of 1 is .7 of layers and .3 of head; half-way it is .35 through the layers, the head
    # and the view take .35 more, so that it speaks at .7 and ends at 1.35.
    assert rounds(run, "start", "end")[:3] == near([(0.0, 1.95), (1.95, 3.3), (3.3, 4.65)])
    assert spans(run, "verify", "start", "end")[0] == near([(0.6, 1.95)])[0]
    second = spans(run, "prespeculate", "start", "end")[1:3]
    assert second == near([(1.95, 2.35), (2.65, 2.85)])
    fitting = decode(TwoPhase(0.5, Oracle()), SCRIPT, lookahead=5, policy=ONE, machine=costly)
    # Steps of .2: three until .7, three more until 1.35.
    assert rounds(fitting, "drafted")[:3] == [(5,), (3,), (3,)]
    # Who never listens pays for nothing.
    plain = decode(Ssd(), SCRIPT, lookahead=3, policy=ONE, machine=costly)
    assert spans(plain, "verify", "start", "end")[0] == near([(0.6, 1.6)])[0]


def test_a_head_longer_than_a_verify_leaves_no_layers():
    run = decode(
        TwoPhase(0.5, Oracle(), first_depth=0, second_depth=1),
        SCRIPT,
        lookahead=3,
        policy=NOTHING,
        machine=machine(speaking=Speaking(head=1.5)),
    )
    # It speaks when its head is done, at 1.5 of 2.5.
    assert spans(run, "prespeculate", "start", "end")[0] == near([(2.1, 2.3)])[0]


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


@pytest.mark.parametrize("tree", [Widths((2, 1, 1)), Confident(children=2, most=5)], ids=str)
def test_of_a_token_tree_both_phases_prepare_trees(tree):
    both = {"lookahead": 3, "policy": UniformFanout(fanout=1), "tree": tree, "tokens": 9}
    both["backup"] = Shallow(2)
    found = [
        decode(method, RANKS, **both) for method in (TwoPhase(1.0, Oracle(), first_depth=3), Ssd())
    ]
    assert found[0].tables == found[1].tables
    run = decode(TwoPhase(0.5, Oracle(), first_depth=1, second_depth=3), RANKS, **both)
    assert len(spans(run, "prespeculate")) > len(run.rounds)
    assert run.rounds.hit[1:].all()
    fitting = decode(TwoPhase(0.5), RANKS, **both, machine=machine(tree=0.2))
    # Two levels take no longer than half a verify, and no more of them fit in either phase.
    assert {
        round(end - start, 9) for start, end in spans(fitting, "prespeculate", "start", "end")
    } == {0.4}
    heard = TwoPhase(second=ExitTarget())
    with pytest.raises(ConfigError, match=r"tree='\w+': an early view .* needs tree=chain"):
        simulate(Setup(heard, LanguageModel(), machine(), Closed(1, 0, 9), lookahead=3, tree=tree))


@pytest.mark.parametrize("method", [TwoPhase(0.5, second=ExitTarget(4)), Ssd()], ids=str)
def test_chains_may_end_early(method):
    asked = Setup(
        method,
        LanguageModel(order=2),
        machine(step=0.1),
        Closed(4, 0, 300),
        ONE,
        lookahead=4,
        sampling=Sampling(1.0),
    )
    fixed, early = (
        simulate(replace(asked, length=length)) for length in (Fixed(), Confidence(0.5))
    )
    assert early.rounds.drafted.max() <= 4
    assert early.rounds.drafted.mean() < fixed.rounds.drafted.mean()
    wasted = [run.metrics["wasted_draft_token_fraction"] for run in (fixed, early)]
    assert wasted[1] < wasted[0]


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
