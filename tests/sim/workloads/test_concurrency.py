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


def test_a_client_thinks_before_it_asks_again():
    """A request takes 3 s, and 2 s later comes the next one."""
    found = times(Poisson(3, 1e9, 0, 3, concurrency=1, think_time=2.0))
    expected = [(0, 0, 3), (1, 5, 8), (2, 10, 13)]
    assert found == [pytest.approx(each, abs=1e-6) for each in expected]


@pytest.mark.parametrize("clients", [1, 2, 3, 5])
def test_clients_of_one_slot_ask_as_often_as_it_or_they_can(clients):
    """Without chance min(N / (Z + S), 1 / S) requests a second: Z = 6 to think, S = 3."""
    found = times(Poisson(200, 1e9, 0, 3, concurrency=clients, think_time=6.0), batch=1)
    last = max(finish for _, _, finish in found)
    assert 200 / last == pytest.approx(min(clients / 9, 1 / 3), rel=0.03)


def test_who_thinks_is_no_client_that_is_free():
    """Who comes while the only client waits or thinks is sent 4 s after the answer before."""
    workload = Poisson(30, 0.2, 0, 1, concurrency=1, think_time=4.0)
    asked = [request.arrival for request in workload.requests(0)]
    found = times(workload, batch=2)
    late = [(seq, arrival) for seq, arrival, _ in found if arrival > asked[int(seq)]]
    assert late
    assert len(late) < 30
    for seq, arrival in late:
        assert arrival == pytest.approx(found[int(seq) - 1][2] + 4)
