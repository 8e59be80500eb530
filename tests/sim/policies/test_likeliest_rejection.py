"""SpecBranch's branching: `policy=likeliest_rejection` beside `length=likeliest_rejection`."""

from dataclasses import replace

import numpy as np
import pytest
from scripted import decode, machine, rounds, spans

from ssdsim import Setup, simulate
from ssdsim.acceptance.iid import Iid
from ssdsim.command.composing import setup as composed
from ssdsim.errors import ConfigError
from ssdsim.lengths.fixed import Fixed
from ssdsim.lengths.likeliest_rejection import LikeliestRejection as Length
from ssdsim.methods.ssd import Ssd
from ssdsim.outcomes import Outcome, Speculation, chain
from ssdsim.policies.likeliest_rejection import LikeliestRejection as Policy
from ssdsim.workloads.closed import Closed


def predicted(*confidences, budget, parents=None):
    """Return the outcomes by node of a policy that believes the draft."""
    parents = parents or chain(len(confidences))
    drafted = Speculation(parents, "primary", confidences=confidences)
    found = Policy(prior=1e9).start(9, np.random.default_rng(0)).predict(drafted, budget)
    return [
        max((o.rank + 1 for o in found if o.node == node), default=0)
        for node in range(len(parents) + 1)
    ]


def test_the_budget_goes_to_the_branch_point_and_the_end():
    # It ends after .9 with chance .9 * .7, sooner or later with less: ⌊9 * .7⌋ branches there.
    assert predicted(0.9, 0.3, 0.8, budget=9) == [0, 6, 0, 3]
    assert predicted(0.9, 0.3, 0.8, budget=2) == [0, 1, 0, 1]
    assert predicted(0.9, 0.3, 0.8, budget=1) == [0, 1, 0, 0]
    # The surer the draft, the more goes to the end; the last token may be the likeliest to fail.
    assert predicted(0.99, 0.9, budget=8) == [0, 1, 7]
    assert predicted(0.2, 0.3, budget=5) == [4, 0, 1]
    assert predicted(budget=3) == [3]


def test_in_a_tree_the_end_is_the_leaf_that_it_likeliest_comes_to():
    # Two children of the root, .6 and .2; behind the first one of .5.
    assert predicted(0.6, 0.2, 0.5, budget=4, parents=(-1, -1, 0)) == [0, 2, 0, 2]


def test_rounds_that_end_at_the_end_at_the_branch_point_and_elsewhere():
    # Of two tokens the first is taken to be the likelier one to be rejected: one branch there, and
    # one behind both. Each of .4 s, beside a verify of 1 s.
    run = decode(
        Ssd(), ((2, 0), (0, 0), (1, 0), (0, 0)), tokens=7, lookahead=2, policy=Policy(budget=2)
    )
    assert rounds(run, "accepted", "hit", "predicted", "start", "end") == [
        (2, None, 2, 0.0, pytest.approx(1.4)),  # drafted first; its end had been prepared
        (0, True, 2, pytest.approx(1.4), pytest.approx(2.4)),  # so had its rejection
        (1, True, 2, pytest.approx(2.4), pytest.approx(3.4)),  # not so the second token's
        (0, False, 2, pytest.approx(3.4), pytest.approx(4.8)),
    ]
    assert [used for *_, used in spans(run, "prespeculate")] == [0, 1, 0, 0]


def test_where_tokens_are_accepted_is_learnt():
    run = simulate(
        Setup(
            Ssd(), Iid(alpha=0.05, miss_scale=0.0), machine(), Closed(1, 8, 300),
            Policy(budget=4), lookahead=4,
        ), detailed=True,
    )  # fmt: skip
    late = run.outcomes[run.outcomes["round"] > 50]
    assert set(late.node) == {0, 4}
    assert 0.7 < (late.node == 0).mean() <= 0.75  # three of four, but for rounds that were lucky
    assert run.rounds.hit[50:].mean() > 0.9  # a chain that is wrong at once


def test_a_chain_ends_with_its_first_unsure_token():
    control = Length(chance=0.6).start(6)
    rule = control.stopping(6)
    assert rule.length((0.9, 0.7, 0.55, 0.9)) == 3  # bins of 1/16: .5625 is under .6, .625 is sure
    assert rule.length((0.9,) * 6) == 6
    assert rule.length((0.2, 0.9)) == 1
    # Tokens of a confidence near .7 turn out to be rejected.
    for _ in range(40):
        control.observe(Speculation(chain(1), "primary", confidences=(0.7,)), Outcome(0, 0))
    assert control.stopping(6).length((0.9, 0.7, 0.55, 0.9)) == 2


@pytest.mark.parametrize("temperature", [0, 1])
def test_fewer_tokens_are_rolled_back_and_more_delivered_on_a_real_pair(temperature):
    pair = composed(
        "profile=two_cores", "latency.padding=0", "lookahead=8", f"temperature={temperature}"
    )

    def rolled_back(**changes):
        run = simulate(replace(pair, **changes))
        rejected = 1 - run.rounds.accepted.sum() / run.rounds.drafted.sum()
        return rejected, run.metrics["tokens_per_s"]

    before, slow = rolled_back(policy=Policy(budget=4), length=Fixed())
    after, fast = rolled_back(policy=Policy(budget=4), length=Length())
    assert before > 0.9
    assert after < 0.62
    assert fast > 2 * slow  # a verify of nine tokens takes longer than one of two there


@pytest.mark.parametrize(
    ("kind", "options"),
    [(Length, {"chance": 1.2}), (Length, {"prior": 0.0}), (Policy, {"prior": 0.0})],
)
def test_bad_options_are_refused(kind, options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        kind(**options)
