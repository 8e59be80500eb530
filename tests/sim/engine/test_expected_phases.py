"""The exact expectation of two phases: by hand, at its limits, and against simulated runs."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scripted import machine

from ssdsim import Setup, expect, simulate
from ssdsim.acceptance.hazard import Hazard, HazardTable
from ssdsim.acceptance.iid import Iid
from ssdsim.acceptance.language_model import LanguageModel
from ssdsim.acceptance.recorded import Recorded
from ssdsim.backups.adaptive import Adaptive
from ssdsim.backups.jit import Jit
from ssdsim.backups.random import Random
from ssdsim.backups.shallow import Shallow
from ssdsim.errors import ConfigError
from ssdsim.latency.jitter import Lognormal
from ssdsim.latency.machine import Link, Slowdown, Speaking
from ssdsim.methods.ssd import Ssd
from ssdsim.methods.two_phase import TwoPhase
from ssdsim.policies.exit_target import ExitTarget
from ssdsim.policies.partial_oracle import PartialOracle
from ssdsim.policies.uniform_fanout import UniformFanout
from ssdsim.theory.phase_seconds import Course, Depths, Load, PhaseTimes, course
from ssdsim.workloads.closed import Closed

KNOWN = PartialOracle(budget=3, share=0.5)
RICH = machine(
    step=0.12,
    glue=0.05,
    dispatch=0.01,
    link=Link(latency=0.02),
    slowdown=Slowdown(1.2, 1.3),
    speaking=Speaking(head=0.05, view=0.02),
)
LOGGED = HazardTable(0.0, (0.5, 0.3, 0.2), 2.0, 0.8, 3, (2, 4), (0.3, 0.2), (0.4, 0.3))
TWICE = UniformFanout(budget=4, fanout=2)


def asked(method, batch=1, **more):
    common = {
        "acceptance": Iid(0.7),
        "machine": RICH,
        "workload": Closed(batch, 0, 4000),
        "policy": UniformFanout(fanout=1),
        "backup": Shallow(1),
        "lookahead": 3,
    }
    return Setup(method, batch=batch, **{**common, **more})


def test_two_phases_by_hand():
    method = TwoPhase(0.5, KNOWN, first_depth=2, second_depth=1)
    setup = asked(method, acceptance=Iid(1.0), machine=machine())
    found, tail = expect(setup), Iid().miss()
    # All is hidden beside the verify of 1 but the backup's step of .2. All tokens are accepted: the
    # first phase has the likeliest outcome, the target knows half of the others that have a rank.
    first, second = 1 - tail(1), 0.5 * (tail(1) - tail(1024))
    miss = 1 - first - second
    assert found.hit_rate == pytest.approx(1 - miss)
    assert found.acceptance_length == pytest.approx(3 * first + 2 * second + 2 * miss)
    assert found.seconds_per_round == pytest.approx(1 + 0.2 * miss)


CONSTANT = {"verify": lambda _: 1.0, "glue": lambda _: 0.0, "tree": lambda _: 0.2}


def played(load, depths, share=0.5, **more):
    times = {"spoken": lambda verify: share * verify, "backup": lambda _: 0.0, **CONSTANT, **more}
    return course(PhaseTimes(0.0, message=0.0, **{"dispatch": 0.0, **times}), load, depths)


def near(first, second, seconds):
    return Course(first, second, pytest.approx(seconds))


def test_how_a_round_goes_by_hand():
    load = Load(1, 3, 4, 1, 2)
    # Until .4 and from .5 to .7, beside a verify of 1; what fits is two steps, and two more.
    assert played(load, Depths(3, 2, 1)) == near(2, 1, 1.0)
    assert played(load, Depths(5, None, None)) == near(2, 2, 1.0)
    # The second begins at .6, when the first is over, and ends at 1.2.
    assert played(load, Depths(3, 3, 3), tree=lambda _: 0.2) == near(3, 3, 1.2)
    # The first is over after the verify, and nobody listens.
    assert played(load, Depths(9, 6, 3)) == near(6, 0, 1.2)
    # It takes a verify that is slower by 2 for .2 and for .2 more: .1 + .4 + .1 + .2 are 1.2 late.
    slowed = played(load, Depths(3, 1, 1), slowdown=(2.0, 1.0))
    assert slowed == near(1, 1, 1.2)
    # What the first phase leaves to the second: all of it, and its glue.
    late = played(load, Depths(3, 0, 3), tree=lambda branches: 0.1 * branches)
    assert late == near(0, 3, 1.1)
    assert played(load._replace(more=0), Depths(3, 2, 1)) == near(2, 0, 1.0)
    # Of the half that is left .05 are gone until it is asked, .15 until the steps are: one fits.
    asking = played(load, Depths(3, 0, None), glue=lambda _: 0.1, dispatch=0.05)
    assert asking == near(0, 1, 1.0)


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("backup", [Jit(), Random(seconds=0.1)], ids=["jit", "random"])
def test_a_target_that_speaks_at_its_end_leaves_plain_ssd(batch, backup):
    uneven = Hazard({"greedy": LOGGED})
    one = asked(TwoPhase(1.0, KNOWN, first_depth=3), batch, acceptance=uneven, backup=backup)
    plain = expect(replace(one, method=Ssd()))  # by other code: rows there are of one length
    for name, value in vars(expect(one)).items():
        assert value == pytest.approx(getattr(plain, name), rel=1e-9), name


@cache
def busy(name, batch):
    """Return tokens/s expected, and those of runs until the first sequence ends."""
    method, more = METHODS[name]
    setup = asked(method, batch, workload=Closed(batch, 0, 12_000 // batch), **more)
    found = []
    for seed in range(SEEDS):
        run = simulate(replace(setup, seed=seed))
        rounds = run.rounds[run.rounds.end <= run.sequences.finish.min()]
        found.append((rounds.accepted + 1).sum() / (rounds.end.max() - run.rounds.start.min()))
    return expect(setup).tokens_per_s, np.array(found)


SEEDS = 4
METHODS = {
    "plain": (Ssd(), {"backup": Jit()}),
    "one phase": (Ssd(), {}),
    "numbers": (TwoPhase(0.5, KNOWN, first_depth=2, second_depth=1), {}),
    "what fits": (TwoPhase(0.5, KNOWN), {}),
    "random": (TwoPhase(0.5, KNOWN), {"backup": Random(seconds=0.1)}),
    "late": (TwoPhase(0.9, KNOWN, first_depth=3, second_depth=3), {}),
    "no first phase": (TwoPhase(0.3, KNOWN, first_depth=0, second_depth=3), {}),
    "static": (TwoPhase(0.4, UniformFanout(fanout=3), first_depth=3, second_depth=3), {}),
    "twice": (TwoPhase(0.5, first_depth=2, second_depth=2), {"policy": TWICE, "backup": Jit()}),
}


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("name", [*METHODS][1:])
def test_runs_come_to_what_is_expected(name, batch):
    (expected, found), (plain, measured) = busy(name, batch), busy("plain", batch)
    # Their texts are as lucky as those of plain SSD, whose expectation other tests hold.
    ratio = found / measured / (expected / plain) - 1
    error = ratio.std(ddof=1) / SEEDS**0.5
    assert error < 0.005
    assert abs(ratio.mean()) < max(3 * error, 0.004)


def test_depths_that_hang_on_the_luck_of_a_batch_are_refused():
    uneven = asked(TwoPhase(0.5, first_depth=2, second_depth=2), 3, policy=TWICE)
    with pytest.raises(ConfigError, match=r"^method at batch=3: its phases come to other depths"):
        expect(uneven)
    assert expect(replace(uneven, batch=1)).tokens_per_s > 0


@pytest.mark.parametrize(
    ("option", "choice"),
    [
        ("method.on_outcome:", {"method": TwoPhase(on_outcome="prune")}),
        ("method.on_outcome:", {"method": Ssd("prune")}),
        ("method.redraft:", {"method": TwoPhase(redraft="all"), "batch": 2}),
        ("method.loss:", {"method": TwoPhase(loss=0.1)}),
        ("method.second:", {"method": TwoPhase(second=ExitTarget())}),
        ("policy.budget:", {"policy": UniformFanout(budget="verify")}),
        ("policy:", {"policy": PartialOracle()}),
        ("backup:", {"backup": Adaptive()}),
        ("acceptance:", {"acceptance": Recorded("nowhere")}),
        ("acceptance=", {"acceptance": LanguageModel()}),
        ("latency jitter:", {"machine": replace(RICH, draft_jitter=Lognormal(0.1))}),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_what_is_not_covered_is_refused_by_its_option(option, choice):
    with pytest.raises(ConfigError) as error:
        expect(asked(**{"method": TwoPhase(), **choice}))
    assert str(error.value).startswith(option)
    assert "\n" not in str(error.value)
