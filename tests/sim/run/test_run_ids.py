"""Ids of runs are older than many settings, and stay what they were."""

from dataclasses import replace

from scripted import machine

from ssdsim import Setup
from ssdsim.acceptance.iid import Iid
from ssdsim.methods.ssd import Ssd
from ssdsim.run.results import run_id
from ssdsim.serving.continuous import Continuous
from ssdsim.workloads.closed import Closed

SETUP = Setup(Ssd(), Iid(), machine(), Closed(2, 4, 8))


def test_a_simulation_has_the_id_that_it_had_before_requests_arrived():
    """As of the commit before workloads were plug-ins; a new setting is to be listed as young."""
    assert run_id(SETUP) == "797b105c7501f9e847ccce9e5dad6981"


def test_young_settings_count_where_they_are_not_what_they_always_were():
    others = (
        replace(SETUP, serving=Continuous()),
        replace(SETUP, replicas=2),
        replace(SETUP, workload=Closed(2, 4, 8, concurrency=1)),
    )
    assert len({run_id(one) for one in (SETUP, *others)}) == 4
