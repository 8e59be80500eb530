"""Servers of one engine that wrote into one file."""

import json

import pytest

from ssdsim.errors import ConfigError
from ssdsim.observe.servers import Counts, Writer, in_turns, writer_of
from tests.support.engine_lines import ITERATION, LOAD, SPECULATION, V0, counters

HALF, MOST = "0.700, 0.500, 0.200", "0.900, 0.800, 0.700"


def interval(before, rates, accepted, running=4):
    said = SPECULATION.format(rates)
    said = said.replace("Accepted: 1400", f"Accepted: {accepted}").replace("2.40", "")
    return before + LOAD.format(0, running) + before + said


def iteration(before, tokens=12, ms="20.00"):
    return before + ITERATION.format(0, 0, 4, tokens, ms)


@pytest.mark.parametrize(
    ("line", "writer"),
    [
        ("vllm-1  | (APIServer pid=1) INFO 09-25", ("vllm-1", "APIServer", "1")),
        ("2026-11-30T10:00:00Z worker-0 | INFO", ("worker-0",)),
        ("2026-11-30T10:00:00.123Z stderr F INFO 11-30", ()),
        ("[pod/vllm-7c9/server] INFO 09-25", ("pod/vllm-7c9/server",)),
        ("Nov 30 10:00:00 gpu01 vllm[4711]: INFO", ("gpu01 vllm[4711]",)),
        ("2026-11-30T10:00:00+0000 gpu01 vllm[4711]: INFO", ("gpu01 vllm[4711]",)),
        ("vllm-7c9-x server INFO 09-25 22:27:16 [metrics.py:120]", ("vllm-7c9-x server",)),
        ("[60425] 0.16.519.195 I slot print_timing: id  0", ("60425",)),
        ("12: INFO 09-25", ("12",)),
        ("[1,0]<stdout>: INFO 09-25", ("[1,0]<stdout>",)),
        ("(ServeReplica:app:Vllm pid=7, ip=10.0.0.1) INFO", ("", "ServeReplica:app:Vllm", "7")),
        ("(EngineCore_DP1 pid=4711) INFO 09-25", ("", "EngineCore_DP1", "4711")),
        ("INFO 09-25 22:27:16 [metrics.py:120] SpecDecoding", ()),
        ("[2026-09-25 22:27:16 TP0] Decode batch", ()),
    ],
)
def test_who_wrote_a_line(line, writer):
    assert writer_of(line) == Writer(*writer)


def test_a_restart_is_no_second_server():
    assert in_turns("aabb") == in_turns("aaa") == in_turns("") == ()
    assert in_turns("abab") == ("a", "b")


NAMES = [("(APIServer pid=8) ", "(APIServer pid=9) "), ("a | ", "b | ")]
NAMES += [tuple(f"Nov 30 10:00:00 gpu0{host} vllm[9]: " for host in (1, 2))]


@pytest.mark.parametrize("names", NAMES)
def test_of_two_servers_that_log_in_turns_one_is_read(told_of, names):
    one, other = interval(names[0], HALF, 933), interval(names[1], MOST, 1600)
    told = told_of((one + other) * 3)
    assert told.tau == pytest.approx(2.4, rel=1e-3)
    assert any("wrote in turns" in line for line in told.suspicious)
    assert not told_of(one * 3).suspicious


@pytest.mark.parametrize("name", ["{}  | ", "[6042{}] ", "{}: "])
def test_of_two_servers_of_llama_cpp_one_is_read(told_of, name):
    line = "{}draft acceptance = 0.5 ( {} accepted / 54 generated), mean len = {}\n"
    one = line.format(name.format(1), 36, "2.50")
    other = line.format(name.format(2), 6, "1.33")
    told = told_of((one + other) * 3)
    assert (told.rounds, told.tau) == (72, pytest.approx(2.5))
    assert any("wrote in turns" in said for said in told.suspicious)


def test_of_two_pods_in_a_collectors_records_one_is_read(told_of):
    def records(pod, text):
        holder = {"kubernetes": {"pod_name": pod}}
        return "".join(json.dumps({"log": line, **holder}) + "\n" for line in text.splitlines())

    one, other = records("a-7", interval("", HALF, 933)), records("b-7", interval("", MOST, 1600))
    assert told_of((one + other) * 3).tau == pytest.approx(2.4, rel=1e-3)


def test_a_server_that_was_started_again_is_read_whole(told_of):
    one = interval("(APIServer pid=8) ", HALF, 933)
    told = told_of(one * 2 + one.replace("pid=8", "pid=9") * 2)
    assert told.rounds == pytest.approx(4 * 2000 / 3)
    assert not told.suspicious


# Processes of one server, and of two.


def test_the_processes_of_one_server_are_read_together(told_of):
    both = interval("(APIServer pid=8) ", HALF, 933)
    both += iteration("(EngineCore pid=22) ", ms="60.00")
    ranks = iteration("(EngineCore_DP0 pid=22) ") + iteration("(EngineCore_DP1 pid=23) ", 16)
    told = told_of(both * 3)
    assert (len(told.passes), told.suspicious) == (3, ())
    assert {p.tokens for p in told_of(ranks * 3).passes} == {12, 16}


def test_iterations_of_two_servers_differ_by_process_id_alone(told_of):
    told = told_of((iteration("(EngineCore pid=22) ") + iteration("(EngineCore pid=33) ", 16)) * 3)
    assert {p.tokens for p in told.passes} == {12}
    assert told.suspicious == (
        "EngineCore 22, EngineCore 33 wrote in turns: only EngineCore 22 is read",
    )


def test_which_processes_are_of_one_server_is_not_guessed(told_of):
    def server(api, core):
        return interval(f"(APIServer pid={api}) ", HALF, 933) + iteration(
            f"(EngineCore pid={core}) "
        )

    with pytest.raises(ConfigError, match="APIServer and EngineCore of two servers"):
        told_of((server(8, 22) + server(9, 33)) * 3)


# Servers that nothing but their clocks tells apart.


def intervals_at(*seconds):
    at = (f"{n // 60:02}:{n % 60:02}" for n in seconds)
    return "".join(interval("", HALF, 933).replace("22:27:16", f"22:{each}") for each in at)


def test_two_beats_in_a_log_are_noted(told_of):
    steady = range(0, 100, 10)
    both = sorted([*steady, *range(3, 100, 10)])
    assert any("3 and 7 s apart" in said for said in told_of(intervals_at(*both)).suspicious)
    for one in (steady, [*steady, 130, 140, 150], [0, 10, 21, 30, 41, 50, 60, 70]):
        assert not told_of(intervals_at(*one)).suspicious
    twice = "".join(line * 2 for line in intervals_at(*steady).splitlines(keepends=True))
    assert not told_of(twice).suspicious


# Counters of two servers.


def test_a_counter_that_restarts_is_of_one_server():
    restarts, turns = Counts(), Counts()
    for value in (300, 900, 90, 600, 1000, 30, 300, 20, 700):
        restarts.add(value)
    for value in (300, 9000, 600, 9300, 900, 9600, 1200):
        turns.add(value)
    assert (restarts.of_several, turns.of_several) == (False, True)


def test_v0_counters_of_two_servers_in_turns_are_refused(told_of):
    counts = [(300, 200), (9000, 3500)] + [
        (300 * n + first, 200 * n) for n in (2, 3, 4) for first in (0, 9000)
    ]
    with pytest.raises(ConfigError, match="two servers in turns"):
        told_of("".join(V0.format(0, drafted, emitted) for drafted, emitted in counts))
    one = "".join(V0.format(0, drafted, drafted * 2 / 3) for drafted in (300, 900, 90, 600, 30))
    assert told_of(one).tau == 2


def page(drafts, accepted, began):
    return counters(drafts, accepted) + counters(began, end="_created")


def test_scrapes_of_two_servers_in_turns_are_told_by_when_they_began(told_of):
    one = page(100, (60, 40), 1.7e9), page(300, (200, 120), 1.7e9)
    other = page(5000, (900, 100), 1.6e9), page(9000, (1600, 200), 1.6e9)
    told = told_of("".join((one[0], other[0], one[1], other[1])))
    assert told.rounds == 200
    assert told.positions == pytest.approx((140 / 200, 80 / 200))
    assert any("2 servers in turns" in line for line in told.suspicious)


def test_scrapes_of_two_servers_that_do_not_say_when_they_began_are_refused(told_of):
    scrapes = [counters(n + of, (0.8 * n, 0.5 * n)) for n in (1, 2, 3, 4) for of in (100, 9000)]
    with pytest.raises(ConfigError, match="without _created"):
        told_of("".join(scrapes))


def test_a_server_that_began_anew_counts_from_nothing_though_no_counter_fell(told_of):
    told = told_of(page(100, (60, 40), 1.7e9), page(300, (200, 120), 1.8e9))
    assert told.rounds == 300
    assert any("restarted" in line for line in told.suspicious)


@pytest.mark.parametrize("collected", ["instance", "pod"])
def test_servers_that_a_collector_names_are_several_engines(told_of, collected):
    def scrape(n):
        of = (f'engine="0",{collected}="{name}"' for name in "ab")
        return "".join(
            counters(n, (0.8 * n, 0.5 * n), labels=labels, num_requests_running=8) for labels in of
        )

    told = told_of(scrape(500), scrape(1500))
    assert (told.rounds, told.requests) == (2000, 8)
