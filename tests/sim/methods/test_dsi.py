"""DSI: worked timelines, its closed form, the number of servers, and the published estimate."""

from dataclasses import replace
from math import ceil

import pytest
from scripted import decode, machine, near, rounds

from ssdsim import Setup, simulate
from ssdsim.acceptance.iid import Iid
from ssdsim.errors import ConfigError
from ssdsim.latency.machine import Link, Power
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.dsi import Dsi
from ssdsim.workloads.closed import Closed

RIGHT = ((9999, 0),)


def spans(run, *columns, of="target"):
    chosen = run.spans[run.spans.lane.str.startswith(of)].sort_values(["start", "lane"])
    return list(chosen[[*columns]].itertuples(index=False, name=None))


def test_a_task_at_the_start_and_after_every_window():
    # Right four times, then corrected: known when the task behind the second window ends.
    run = decode(Dsi(), ((4, 0), (99, 0)), tokens=40, lookahead=2, machine=machine(step=0.25))
    assert rounds(run, "drafted", "accepted", "end")[:5] == near(
        [(0, 0, 1), (1, 1, 1.5), (1, 1, 2), (0, 0, 3), (1, 1, 3.5)]
    )
    assert spans(run, "start", "end", "tokens", "used")[:6] == near(
        [
            (0, 1, 1, 1),
            (0.5, 1.5, 2, 2),
            (1, 2, 2, 2),  # its bonus token corrects the draft, so what follows stops
            (1.5, 2, 2, 0),
            (2, 3, 1, 1),
            (2.5, 3.5, 2, 2),
        ]
    )
    drafted = spans(run, "start", "end", "tokens", "used", of="draft")
    assert drafted[:5] == near(
        [(0, 0.5, 2, 2), (0.5, 1, 2, 2), (1, 1.5, 2, 0), (1.5, 2, 2, 0), (2, 2.5, 2, 2)]
    )


def test_a_rejection_cuts_short_what_is_being_drafted():
    run = decode(Dsi(), ((0, 0),), tokens=9, lookahead=4, machine=machine(step=0.3))
    drafted = spans(run, "start", "end", "tokens", "used", of="draft")
    assert drafted[:2] == near([(0, 0.9, 3, 0), (0.9, 1, 0, 0)])  # a window of three fits a verify
    assert run.metrics["tokens_per_s"] == pytest.approx(1)


def seconds_a_token(alpha, k, c, servers, tokens=6000, method=None, **more):
    """Return seconds a token where a verify takes one second and a draft step c."""
    setup = Setup(
        method or Dsi(servers),
        Iid(alpha=alpha),
        machine(step=c),
        Closed(4, 4, tokens),
        lookahead=k,
    )
    return 1 / simulate(replace(setup, **more)).metrics["tokens_per_s"]


def closed_form(alpha, k, c):
    """Return seconds a token: the N tokens before a rejection take 1 + k·c·ceil(N/k)."""
    return (1 - alpha) * (1 + k * c * alpha / (1 - alpha**k))


def published(alpha, k, c, most=4000):
    """Return the estimate of the published simulator: 1 + k·c·(floor(N/k) + 1), at most N + 1.

    It charges a window more where the first draft of a later window is the rejected one, though
    the task before has that token's verdict.
    """
    chances = ((1 - alpha) * alpha**n for n in range(most))
    seconds = (min(1 + k * c * (n // k + 1), n + 1) for n in range(most))
    return (1 - alpha) * sum(p * s for p, s in zip(chances, seconds, strict=True))


GRID = [(0.3, 5, 0.1), (0.6, 2, 0.2), (0.8, 1, 0.2), (0.8, 5, 0.1), (0.9, 5, 0.2), (0.95, 4, 0.05)]


@pytest.mark.slow
@pytest.mark.parametrize(("alpha", "k", "c"), GRID)
def test_closed_form_and_the_published_estimates_bracket(alpha, k, c):
    enough = ceil(1 / (k * c) - 1e-9)
    found = seconds_a_token(alpha, k, c, enough + 1, 8000)
    assert found == pytest.approx(closed_form(alpha, k, c), rel=0.02)
    # Its authors' simulator is up to 11 % above an event-driven timeline, and never below.
    assert found < 1.02 * published(alpha, k, c)
    assert found > 0.98 * published(alpha, k, c) / 1.11


@pytest.mark.parametrize(("k", "c"), [(2, 0.125), (1, 0.2), (3, 0.1), (4, 0.25)])
def test_enough_servers_hide_every_verify_and_more_change_nothing(k, c):
    enough = ceil(1 / (k * c) - 1e-9)
    found = [seconds_a_token(0.9, k, c, servers, 800) for servers in (enough, enough + 3)]
    assert found[0] == pytest.approx(found[1], rel=0.003)  # the last window may be a short one
    if enough > 1:
        assert seconds_a_token(0.9, k, c, enough - 1, 800) > 1.01 * found[0]


@pytest.mark.parametrize("servers", [1, 2, 9])
@pytest.mark.parametrize(("k", "c"), [(1, 0.9), (3, 0.1), (7, 0.3), (5, 2.0)])
@pytest.mark.parametrize("alpha", [0.05, 0.5, 0.9])
def test_it_is_never_slower_than_decoding_without_a_draft(alpha, k, c, servers):
    plain = seconds_a_token(alpha, k, c, 1, 300, method=Autoregressive())
    assert seconds_a_token(alpha, k, c, servers, 300) <= plain + 1e-9


def test_every_server_counts_as_devices_and_costs_when_idle():
    on = machine(step=0.1, target_power=Power(3.0, 1.0), draft_power=Power(2.0, 1.0))
    setup = Setup(Dsi(3), Iid(), on, Closed(2, 4, 200), lookahead=5)
    three, nine = simulate(setup), simulate(replace(setup, method=Dsi(9)))
    names = ["target", "target1", "target2", "draft"]
    assert [device["name"] for device in three.info["devices"]] == names
    speed = three.metrics["tokens_per_s"]
    assert three.metrics["tokens_per_s_per_device"] == pytest.approx(speed / 4)
    assert nine.metrics["tokens_per_s_per_device"] == pytest.approx(speed / 10)
    idle = 6 * three.spans.end.max()
    assert nine.metrics["energy_j"] == pytest.approx(three.metrics["energy_j"] + idle)


def test_results_travel_one_after_the_other_while_the_draft_goes_on():
    on = machine(step=0.25, link=Link(latency=0.05))
    run = decode(Dsi(), RIGHT, tokens=40, lookahead=2, machine=on)
    assert rounds(run, "end")[:3] == near([(1.1,), (1.6,), (2.1,)])
    drafted = spans(run, "start", "end", of="draft")
    assert drafted[:4] == near([(0, 0.5), (0.5, 1), (1, 1.5), (1.5, 2)])


def test_a_pool_needs_a_server():
    with pytest.raises(ConfigError, match=r"^method\.servers=0: needs a number >= 1"):
        Dsi(servers=0)
