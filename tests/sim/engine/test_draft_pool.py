"""Draft devices shared by several targets: a verify takes 3, a draft of K = 1 takes 1."""

from dataclasses import replace

import pytest
from scripted import machine
from served import requests_hold

from ssdsim import Setup, simulate
from ssdsim.acceptance.iid import Iid
from ssdsim.errors import ConfigError
from ssdsim.latency.constant import Constant
from ssdsim.latency.machine import Machine, Slowdown
from ssdsim.lengths.confidence import Confidence
from ssdsim.methods.amusd import Amusd
from ssdsim.methods.minedraft import Minedraft
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.policies.uniform_fanout import UniformFanout
from ssdsim.workloads.closed import Closed

SHARED = Setup(
    Speculative("own"),
    Iid(alpha=0.0),
    Machine(Constant(verify=3.0, step=0.0), Constant(verify=0.0, step=1.0)),
    Closed(40, 0, 25),
    UniformFanout(1),
    lookahead=1,
)


def rounds_a_second(targets, devices, **changes):
    setup = replace(SHARED, workload=Closed(targets, 0, 100), replicas=targets)
    run = simulate(replace(setup, draft_pool=devices, **changes))
    return len(run.rounds) / run.sequences.finish.max()


@pytest.mark.parametrize("targets", range(1, 7))
def test_one_draft_serves_as_many_targets_as_their_verifies_leave_time_for(targets):
    """Without chance min(M / (Z + D), 1 / D) rounds a second: Z = 3 to verify, D = 1 to draft."""
    assert rounds_a_second(targets, 1) == pytest.approx(min(targets / 4, 1), rel=0.02)
    assert rounds_a_second(targets, 2) == pytest.approx(min(targets / 4, 2), rel=0.02)


@pytest.mark.parametrize("targets", [1, 2, 3, 4, 5])
def test_of_ssd_one_draft_serves_verify_over_tree_targets(targets):
    # A round is a verify and the backup's draft, as no outcome is hit; the tree takes 1 besides.
    draft = Constant(verify=0.0, step=0.0, tree=1.0)
    ssd = replace(SHARED.machine, draft=draft)
    found = rounds_a_second(targets, 1, method=Ssd(), machine=ssd)
    assert found == pytest.approx(min(targets / 3, 1), rel=0.02)


def test_work_is_done_in_the_order_in_which_it_was_asked_for_on_the_first_idle_device():
    setup = replace(SHARED, workload=Closed(3, 0, 1), replicas=3, draft_pool=2)
    drafts = simulate(setup).spans.query("kind == 'speculate'")
    assert drafts[["lane", "seq", "start"]].to_numpy().tolist() == [
        ["draft", 0, 0],
        ["draft1", 1, 0],
        ["draft", 2, 1],
    ]


@pytest.mark.parametrize("method", [Speculative("own"), Ssd(), Ssd(drafts=2), Minedraft()], ids=str)
def test_invariants(method):
    setup = replace(SHARED, method=method, lookahead=3, replicas=3, draft_pool=1, batch=2)
    setup = replace(setup, machine=machine(prefill=0.2), acceptance=Iid())
    run = simulate(setup)
    requests_hold(setup, run, shared=True)
    names = [device["name"] for device in run.info["devices"]]
    assert names == ["target", "target1", "target2", "draft"]
    assert set(run.spans.lane) - set(names) <= {"link", "link1", "link2"}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"method": Speculative()}, "no draft on devices of its own"),
        ({"method": Amusd()}, "goes on drafting unasked"),
        ({"method": Ssd("prune")}, "leaves branches unfinished"),
        ({"method": Ssd(), "length": Confidence()}, "length"),
        ({"machine": replace(SHARED.machine, slowdown=Slowdown(1.5))}, "slowdown"),
        ({"draft_pool": -1}, "draft_pool=-1"),
    ],
)
def test_what_a_pool_cannot_serve_is_refused(changes, why):
    with pytest.raises(ConfigError, match=why):
        simulate(replace(SHARED, **{"draft_pool": 1, **changes}))
