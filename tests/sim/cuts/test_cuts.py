"""Verification cuts: what is sent to the target, by hand and against an adaptive verifier."""

from dataclasses import replace
from itertools import pairwise

import pytest
from scripted import decode, machine, near, rounds, spans

from ssdsim import Setup, expect, simulate
from ssdsim.acceptance.by_depth import ByDepth
from ssdsim.acceptance.language_model import LanguageModel
from ssdsim.backups.random import Random
from ssdsim.backups.shallow import Shallow
from ssdsim.cuts.base import Cost, Cutter
from ssdsim.cuts.fitting import Fitting
from ssdsim.cuts.goodput import Goodput
from ssdsim.errors import ConfigError
from ssdsim.latency.constant import Constant
from ssdsim.latency.table import Table
from ssdsim.methods.minedraft import Minedraft
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.methods.two_phase import TwoPhase
from ssdsim.outcomes import Outcome, Speculation, chain
from ssdsim.policies.oracle import Oracle
from ssdsim.policies.partial_oracle import PartialOracle
from ssdsim.policies.uniform_fanout import UniformFanout
from ssdsim.sampling.settings import Sampling
from ssdsim.trees.confident import Confident
from ssdsim.trees.widths import Widths
from ssdsim.workloads.closed import Closed

SURE = 1e9  # a guess that nothing moves
EVER = ((9, 0),)

# vLLM pull request 52992: GLM-5.2 with DSpark blocks of 16, 64 concurrent, four GB200. Acceptance
# by position in per cent, of everything verified and of what the adaptive verifier verified.
ALL = (71.23, 51.70, 39.04, 30.51, 24.37, 20.00, 16.85, 14.41)
ALL += (12.46, 10.94, 9.64, 8.56, 7.58, 6.67, 5.82, 4.98)
LENGTH, LENGTH_CUT = 4.35, 3.76
SPARK = ByDepth(tuple(after / before for before, after in pairwise((100, *ALL))))


def bent(knee, slope, step=0.1):
    """Return a machine whose verify is flat up to `knee` tokens, and rises from there."""
    tokens = [1, knee, 4096]
    target = Table({
        "verify": {"tokens": tokens, "seconds": [1, 1, 1 + slope * (4096 - knee)]},
        "prefill": {"seconds": 0},
    })  # fmt: skip
    return replace(machine(step=step), target=target)


def cost(nodes=lambda levels: levels, verify=lambda _: 1.0, rest=0.0):
    return Cost(nodes, verify, lambda seconds: seconds + rest)


def kept(cut, speculations, **more):
    return Cutter(cut).depths(speculations, cost(**more))


def drafted(length, confidences=()):
    return Speculation(chain(length), "primary", confidences=confidences)


def test_goodput_takes_levels_as_long_as_they_pay():
    # Tokens/s of one row at α = .5 where a token costs .25: 1, 1.5/1.25, 1.75/1.5, ...
    linear = {"verify": lambda tokens: 1 + 0.25 * (tokens - 1)}
    cut = Goodput(alpha=0.5, prior=SURE)
    assert kept(cut, [drafted(6)], **linear) == [1]
    # Seconds beside the verify are spent in any case: (1.75, 1.875)/(3.5, 3.75) still pay.
    assert kept(cut, [drafted(6)], **linear, rest=2.0) == [3]
    assert kept(cut, [drafted(6)]) == [6]


def test_fitting_fills_what_a_verify_has_room_for():
    knee = {"verify": lambda tokens: max(8, tokens) / 8}
    rows = [drafted(5), drafted(1), drafted(5)]
    assert kept(Fitting(slack=0.0, prior=SURE), rows, **knee) == [2, 1, 2]
    assert kept(Fitting(slack=0.25, prior=SURE), rows, **knee) == [3, 1, 3]


def test_confidences_tell_rows_apart():
    rows = [drafted(4, (0.1,) * 4), drafted(4, (0.9,) * 4)]
    room = {"verify": lambda tokens: max(6, tokens)}
    cut = Fitting("confidence", slack=0.0, prior=1.0)
    cutter = Cutter(cut)
    for _ in range(50):
        cutter.observe(rows[0], Outcome(0, 0))
        cutter.observe(rows[1], Outcome(4, 0))
    assert cutter.depths(rows, cost(**room)) == [1, 3]
    assert Cutter(replace(cut, chances="position")).depths(rows, cost(**room)) == [2, 2]


def test_a_token_is_not_judged_by_itself():
    cut = Fitting("confidence", slack=0.0, prior=SURE)
    room = {"verify": lambda tokens: max(4, tokens)}
    for first in (0.1, 0.9):
        rows = [drafted(1, (first,)), drafted(1, (0.5,)), drafted(1, (0.5,))]
        assert kept(cut, rows, **room) == [1, 0, 0]


def test_a_level_of_a_tree_is_all_its_nodes():
    nodes = [0, 2, 4, 6].__getitem__
    tree = Speculation((-1, -1, 0, 0, 2, 2), "primary")
    room = {"verify": lambda tokens: max(5, tokens)}
    assert kept(Fitting(slack=0.0), [tree], nodes=nodes, **room) == [2]


def test_a_verify_is_as_long_as_what_is_sent():
    # Three tokens fit at once; all four drafted ones would have been right.
    wide = bent(3, 0.5)
    settings = {"tokens": 9, "lookahead": 4, "machine": wide}
    run = decode(Speculative(), EVER, verify=Fitting(slack=0.0), **settings)
    assert rounds(run, "drafted", "accepted", "start", "end") == near(
        [(2, 2, 0, 1.4), (2, 2, 1.4, 2.8), (2, 2, 2.8, 4.2)]
    )
    assert spans(run, "speculate", "tokens", "used") == [(4, 2)] * 3
    assert spans(run, "verify", "tokens") == [(3,)] * 3
    whole = decode(Speculative(), EVER, **settings)
    assert rounds(whole, "drafted", "end")[:1] == near([(4, 0.4 + 2)])


def test_outcomes_are_predicted_of_what_is_verified():
    policy = UniformFanout(fanout=1, budget=99)
    run = decode(
        Ssd(), EVER, tokens=9, lookahead=4, machine=bent(3, 0.5), policy=policy,
        verify=Fitting(slack=0.0),
    )  # fmt: skip
    assert rounds(run, "drafted", "predicted", "hit", "end") == near(
        [(2, 3, None, 1.4), (2, 3, True, 2.4), (2, 3, True, 3.4)]
    )


def test_a_verify_behind_slower_branches_or_a_backup_costs_nothing_to_be_longer():
    # Levels after the first add .2 to a verify. A backup's .4 come before it in any case, so that
    # 1.75/1.6 beat 1.5/1.4; branches of 4 x .5, known from the second round on, hide it whole.
    slow = replace(bent(2, 0.2), draft=machine(step=0.1, tree=0.5).draft)
    half, policy = Goodput(alpha=0.5, prior=SURE), UniformFanout(fanout=1, budget=99)
    settings = {"tokens": 15, "lookahead": 4, "machine": slow, "policy": policy}
    run = decode(Ssd(), EVER, verify=half, **settings)
    assert rounds(run, "drafted", "hit") == [(2, None), (4, True), (4, True), (4, True)]
    quick = replace(slow, draft=machine(step=0.1).draft)
    missed = decode(Ssd(), ((9, 5),), verify=half, **settings | {"machine": quick})
    assert set(rounds(missed, "speculator", "drafted")) == {("backup", 2)}


def test_a_verify_beside_two_phases_costs_what_they_leave():
    # Levels after the first add .25 to a verify V. The target speaks at V/2, and four steps of .2
    # follow, known from the second round on: 1.75/1.425 is more than 1.5/1.3 and 1.875/1.55.
    half, nothing = Goodput(alpha=0.5, prior=SURE), UniformFanout(fanout=0)
    settings = {"tokens": 15, "lookahead": 4, "machine": bent(2, 0.25, step=0.2), "verify": half}
    late = TwoPhase(0.5, Oracle(), second_depth=4)
    run = decode(late, EVER, policy=nothing, **settings)
    assert rounds(run, "drafted", "hit")[1:4] == [(2, True)] * 3
    lasted = [end - start for start, end in rounds(run, "start", "end")]
    assert lasted[2:4] == pytest.approx([1.425, 1.425])
    # What takes only the time that there is costs nothing, so that 1.5/1 is best.
    fitting = decode(replace(late, second_depth="verify"), EVER, policy=nothing, **settings)
    assert rounds(fitting, "drafted", "hit")[1:4] == [(1, True)] * 3
    # A first phase that takes 1.2 hides 1 + .25, nearly.
    early = TwoPhase(0.5, Oracle(), first_depth=6)
    deep = decode(early, EVER, policy=UniformFanout(fanout=1), **settings | {"lookahead": 6})
    assert rounds(deep, "drafted", "hit")[1:4] == [(2, True)] * 3


def test_proposals_are_cut_as_drafts_are():
    # After a bonus token that is no best candidate four random tokens are proposed, two are sent.
    policy = UniformFanout(fanout=1, budget=99)
    run = decode(
        Ssd(), ((0, 5), (2, 0)), tokens=4, lookahead=4, machine=bent(3, 0.5), policy=policy,
        verify=Fitting(slack=0.0), backup=Random(),
    )  # fmt: skip
    assert rounds(run, "drafted", "accepted", "hit", "speculator", "end") == near(
        [
            (2, 0, None, "backup", 1),
            (2, 0, False, "backup", 2),
            (2, 0, True, "primary", 3),
            (2, 0, False, "backup", 4),
        ]
    )


def spark(verify=None, batch=64, **bend):
    more = {} if verify is None else {"verify": verify}
    wide = bent(**bend)
    draft = Constant(verify=0.0, step=0.2, block=16)
    return simulate(
        Setup(
            Speculative(), SPARK, replace(wide, draft=draft), Closed(batch, 4, 250),
            lookahead=16, batch=batch, **more,
        )
    )  # fmt: skip


def test_rates_by_position_make_the_published_acceptance_length():
    assert 1 + sum(ALL) / 100 == pytest.approx(4.348, abs=5e-4)
    whole = spark(knee=2048, slope=0.001)
    assert whole.metrics["acceptance_length"] == pytest.approx(4.348, rel=0.02)


def test_a_cut_trades_acceptance_length_for_tokens_a_second():
    # How that machine's verify bends was not published: this bend makes the length fall as far.
    bend = {"knee": 512, "slope": 1 / 1500}
    whole, cut = spark(**bend), spark(Goodput(), **bend)
    speeds, lengths = (
        [run.metrics[name] for run in (whole, cut)]
        for name in ("tokens_per_s", "acceptance_length")
    )
    assert lengths[0] == pytest.approx(LENGTH, rel=0.03)
    assert lengths[1] == pytest.approx(LENGTH_CUT, rel=0.04)
    assert speeds[1] > 1.02 * speeds[0]
    alone = [spark(verify, batch=1, **bend).rounds.drafted.mean() for verify in (None, Goodput())]
    assert alone[0] == pytest.approx(alone[1])  # of a small batch everything is verified


@pytest.mark.parametrize("depth", [6, "exit"])
def test_two_phases_are_faster_where_a_dear_verify_is_cut(depth):
    setup = Setup(
        TwoPhase(0.5, PartialOracle(budget=3), first_depth=depth), SPARK, bent(64, 0.01, step=0.05),
        Closed(16, 4, 300), UniformFanout(fanout=1), Shallow(2), lookahead=8, batch=16,
    )  # fmt: skip
    cut, whole = (
        simulate(one).metrics["tokens_per_s"] for one in (replace(setup, verify=Goodput()), setup)
    )
    assert cut > 1.04 * whole


@pytest.mark.parametrize("method", [Speculative(), Ssd(), Minedraft(), TwoPhase(0.5)])
@pytest.mark.parametrize("sampling", [Sampling(0.0), Sampling(1.0, "gumbel")])
def test_texts_are_the_same_whatever_is_cut(method, sampling):
    setup = Setup(
        method, LanguageModel(), bent(6, 0.2), Closed(4, 4, 20), lookahead=4, batch=3,
        sampling=sampling,
    )  # fmt: skip
    cut = replace(setup, verify=Goodput("confidence"))
    runs = [simulate(one) for one in (setup, cut, replace(cut, tree=Widths((2, 2))))]
    assert len({str([list(o) for o in run.sequences.output]) for run in runs}) == 1
    assert runs[1].rounds.drafted.mean() < runs[0].rounds.drafted.mean()


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"tree": Confident(), "acceptance": LanguageModel()}, "tree='confident': verify=goodput"),
        ({"verify": Goodput("confidence")}, "verify.chances='confidence': needs an acceptance"),
    ],
)
def test_what_cannot_be_cut_is_refused(other, says):
    setup = Setup(Speculative(), ByDepth(), machine(), lookahead=4, verify=Goodput())
    with pytest.raises(ConfigError, match=says):
        simulate(replace(setup, **other))
    with pytest.raises(ConfigError, match="verify: the exact expectation"):
        expect(setup)
