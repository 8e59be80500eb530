"""Servers of one engine that wrote into one file."""

import pytest

from ssdsim.observe.servers import in_turns, writer_of
from tests.support.engine_lines import LOAD, SPECULATION, counters

HALF, MOST = "0.700, 0.500, 0.200", "0.900, 0.800, 0.700"


def interval(before, rates, accepted, running=4):
    said = SPECULATION.format(rates)
    said = said.replace("Accepted: 1400", f"Accepted: {accepted}").replace("2.40", "")
    return before + LOAD.format(0, running) + before + said


@pytest.mark.parametrize(
    ("line", "writer"),
    [
        ("vllm-1  | (APIServer pid=1) INFO 09-25", "vllm-1"),
        ("2026-11-30T10:00:00Z worker-0 | INFO", "worker-0"),
        ("[pod/vllm-7c9/server] INFO 09-25", "pod/vllm-7c9/server"),
        ("(APIServer pid=4711) INFO 09-25", "4711"),
        ("\x1b[36mvllm-1  |\x1b[0m INFO 09-25", "vllm-1"),
        ("INFO 09-25 22:27:16 [metrics.py:120] SpecDecoding", ""),
        ("[2026-09-25 22:27:16 TP0] Decode batch", ""),
    ],
)
def test_who_wrote_a_line(line, writer):
    assert writer_of(line) == writer


def test_a_restart_is_no_second_server():
    assert in_turns("aabb") == in_turns("aaa") == in_turns("") == ()
    assert in_turns("abab") == ("a", "b")


@pytest.mark.parametrize("names", [("(APIServer pid=8) ", "(APIServer pid=9) "), ("a | ", "b | ")])
def test_of_two_servers_that_log_in_turns_one_is_read(told_of, names):
    one, other = interval(names[0], HALF, 933), interval(names[1], MOST, 1600)
    told = told_of((one + other) * 3)
    assert told.tau == pytest.approx(2.4, rel=1e-3)
    assert any("wrote in turns" in line for line in told.suspicious)
    assert not told_of(one * 3).suspicious


def test_a_server_that_was_started_again_is_read_whole(told_of):
    one = interval("(APIServer pid=8) ", HALF, 933)
    told = told_of(one * 2 + one.replace("pid=8", "pid=9") * 2)
    assert told.rounds == pytest.approx(4 * 2000 / 3)
    assert not told.suspicious


def page(drafts, accepted, began):
    return counters(drafts, accepted) + counters(began, end="_created")


def test_scrapes_of_two_servers_in_turns_are_told_by_when_they_began(told_of):
    one = page(100, (60, 40), 1.7e9), page(300, (200, 120), 1.7e9)
    other = page(5000, (900, 100), 1.6e9), page(9000, (1600, 200), 1.6e9)
    told = told_of("".join((one[0], other[0], one[1], other[1])))
    assert told.rounds == 200
    assert told.positions == pytest.approx((140 / 200, 80 / 200))
    assert any("2 servers in turns" in line for line in told.suspicious)


def test_a_server_that_began_anew_counts_from_nothing_though_no_counter_fell(told_of):
    told = told_of(page(100, (60, 40), 1.7e9), page(300, (200, 120), 1.8e9))
    assert told.rounds == 300
    assert any("restarted" in line for line in told.suspicious)


@pytest.mark.parametrize(
    "rates", ["70.0%, 50.0%, 20.0%", "70.0, 50.0, 20.0", "70,0%, 50,0%, 20,0%"]
)
def test_rates_by_position_in_percent_are_shares(told_of, rates):
    told = told_of(interval("", rates, 933))
    assert told.positions == pytest.approx((0.7, 0.5, 0.2))
