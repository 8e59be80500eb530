"""Clients of a closed loop send the next request when one is finished, by hand."""

import pytest
from scripted import machine

from ssdsim import Setup, simulate
from ssdsim.acceptance.iid import Iid
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.workloads.closed import Closed
from ssdsim.workloads.poisson import Poisson


def times(workload, **more):
    run = simulate(Setup(Autoregressive(), Iid(), machine(), workload, **more))
    rows = run.sequences.sort_values(["arrival", "seq"])
    return [tuple(row) for row in rows[["seq", "arrival", "finish"]].to_numpy().tolist()]


def test_two_clients_and_two_slots():
    """Every request takes 3 steps of 1 s; nobody waits, and everybody has come by then."""
    found = times(Closed(5, 0, 3, concurrency=2), batch=2)
    assert found == [(0, 0, 3), (1, 0, 3), (2, 3, 6), (3, 3, 6), (4, 6, 9)]


def test_three_clients_wait_for_two_slots():
    found = times(Closed(5, 0, 3, concurrency=3), batch=2)
    assert found == [(0, 0, 3), (1, 0, 3), (2, 0, 6), (3, 3, 6), (4, 3, 9)]


def test_without_clients_all_are_there_from_the_start():
    found = times(Closed(3, 0, 3), batch=2)
    assert found == [(0, 0, 3), (1, 0, 3), (2, 0, 6)]


@pytest.mark.parametrize("replicas", [1, 2])
def test_never_more_than_there_are_clients(replicas):
    found = times(Poisson(40, 5.0, 0, 3, concurrency=3), batch=8, replicas=replicas)
    events = sorted([(a, 1) for _, a, _ in found] + [(f, -1) for _, _, f in found])
    there, most = 0, 0
    for _, change in events:
        there += change
        most = max(most, there)
    assert most == 3
    assert len(found) == 40
