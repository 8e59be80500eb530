"""Clients at the edge: a worked timeline, and what one target serves."""

import pytest
from scripted import decode, machine, near, rounds, spans

from ssdsim import Setup, simulate
from ssdsim.acceptance.iid import Iid
from ssdsim.errors import ConfigError
from ssdsim.latency.machine import Link
from ssdsim.methods.edge import Edge
from ssdsim.methods.speculative import Speculative
from ssdsim.workloads.closed import Closed

FAR = machine(link=Link(latency=0.1))


def test_two_clients_take_turns_on_the_target():
    scripts = ((2, 0), (1, 0), (0, 0)), ((0, 0), (3, 0), (3, 0))
    run = decode(Edge(clients=2), *scripts, tokens=6, batch=2, lookahead=3, machine=FAR)
    # .2 of messages, .6 of drafts; then the second one waits for the first one's verify.
    assert spans(run, "verify", "seq", "start", "end", "used") == near(
        [
            (0, 0.8, 1.8, 3),
            (1, 1.8, 2.8, 1),
            (0, 2.8, 3.8, 2),
            (1, 3.8, 4.8, 4),
            (0, 4.8, 5.8, 1),
            (1, 5.8, 6.8, 1),
        ]
    )
    assert spans(run, "speculate", "lane", "start", "end")[:4] == near(
        [("draft", 0.2, 0.8), ("draft1", 0.2, 0.8), ("draft", 2.0, 2.6), ("draft1", 3.0, 3.6)]
    )
    assert rounds(run, "seq", "accepted", "start", "end")[:3] == near(
        [(0, 2, 0, 1.8), (1, 0, 0, 2.8), (0, 1, 1.8, 3.8)]
    )


def test_those_who_wait_are_verified_together():
    scripts = (((0, 0),),) * 3
    run = decode(
        Edge(clients=3, together=2), *scripts, tokens=3, batch=3, lookahead=1, machine=machine()
    )
    verified = spans(run, "verify", "start", "batch")
    # All three have drafted at .2: the target begins with the first one, then takes two.
    assert verified[:3] == near([(0.2, 1), (1.2, 2), (2.2, 1)])


def test_sequences_that_wait_begin_when_all_clients_have_ended_a_round():
    run = decode(
        Edge(clients=2), ((0, 0),), prompts=4, tokens=2, batch=2, lookahead=1, machine=machine()
    )
    assert sorted(run.sequences.admitted.round(9)) == [0.0, 0.0, 4.2, 4.2]
    assert run.sequences.tokens.tolist() == [2] * 4


def served(clients, lookahead=5, delay=0.0, method=None, step=0.1):
    """Return rounds a second, where a verify takes 1 s."""
    on = machine(step=step, link=Link(latency=delay))
    work = Closed(clients, 0, 400)
    setup = Setup(
        method or Edge(clients), Iid(alpha=0.7), on, work, batch=clients, lookahead=lookahead
    )
    run = simulate(setup)
    return len(run.rounds) / run.rounds.end.max()


@pytest.mark.parametrize("clients", [1, 2, 3, 4, 8])
@pytest.mark.parametrize(("lookahead", "delay"), [(5, 0.0), (5, 0.6), (2, 1.0), (0, 0.4)])
def test_rounds_a_second_by_clients(clients, lookahead, delay):
    # Each needs K steps, two messages and a verify; together they get a verify a second.
    alone = 1 / (lookahead * 0.1 + 2 * delay + 1)
    found = served(clients, lookahead, delay)
    assert found == pytest.approx(min(1.0, clients * alone), rel=0.05)


@pytest.mark.parametrize("lookahead", [2, 5, 9])
def test_a_target_that_drafts_nothing_serves_so_many_times_as_many(lookahead):
    full = served(8, lookahead)
    together = served(1, lookahead, method=Speculative())
    assert full / together == pytest.approx(1 + lookahead * 0.1, rel=0.01)


@pytest.mark.parametrize("option", ["clients", "together"])
def test_no_clients_are_refused(option):
    with pytest.raises(ConfigError, match=rf"method\.{option}"):
        Edge(**{option: 0})
