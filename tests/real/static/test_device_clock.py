"""Spans' times by a device's own clock, with a device that runs late, drifts, and is read once."""

from functools import partial
from time import perf_counter_ns

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_crew import HERE, InlineCrew, tasks

from ssdreal.executor.execution import Execution
from ssdreal.executor.setup import Setup
from ssdreal.static.device_clock import Stopwatch
from ssdreal.static.draft_server import StaticDraftServer
from ssdreal.static.server import CAPTURES, StaticServer
from ssdreal.static.target_server import StaticSelfServer
from ssdreal.workers.loading import load
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.workloads.closed import Closed

BEGAN = perf_counter_ns()
LAG = 1_000_000  # nanoseconds that the device is behind with its queue


class Device:
    """A queue with a clock of its own, which starts anywhere and runs at another rate."""

    now = 0

    def __init__(self, rate=1.0, origin=77.0):
        self.rate, self.origin, self.waits = rate, origin, 0

    def event(self):
        return Event(self)

    def clock(self):
        return self.now


class Live(Device):
    """A device that works while the host does."""

    @property
    def now(self):
        return perf_counter_ns() - BEGAN


class Event:
    def __init__(self, device):
        self.device = device

    def record(self):
        self.at = self.device.origin + self.device.now * self.device.rate * 1e-6  # ms

    def synchronize(self):
        self.device.waits += 1

    def elapsed_time(self, other):
        return other.at - self.at


@given(
    rate=st.floats(0.9, 1.1),
    gaps=st.lists(st.tuples(st.integers(0, 10**8), st.integers(0, 10**8)), max_size=20),
)
def test_the_device_s_clock_is_tied_to_the_host_s(rate, gaps):
    device = Device(rate)
    watch = Stopwatch(device.event, device.clock)
    expected = []
    for number, (idle, busy) in enumerate(gaps):
        device.now += idle
        start = device.now
        with watch.timing(number):
            device.now += busy
        expected.append((number, start, device.now))
    device.now += 1000
    for found, right in zip(watch.read(), expected, strict=True):
        assert found == pytest.approx(right, abs=50)


def test_the_parts_of_a_command_follow_each_other():
    device = Device(rate=1.01)
    watch = Stopwatch(device.event, device.clock)
    with watch.timing(7):
        for _ in range(3):
            device.now += 10**6
            watch.lap()
        ends = watch.ends()
        device.now += 10**6  # what the host does with it is no part
    with watch.timing(8):
        device.now += 10**6
    starts = [0, 1, 2, 4]
    parts = zip((7, 7, 7, 8), starts, strict=True)
    expected = [(number, start * 10**6, (start + 1) * 10**6) for number, start in parts]
    for found, right in zip(watch.read(), expected, strict=True):
        assert found == pytest.approx(right, abs=50)
    assert ends == pytest.approx([10**6, 2 * 10**6, 3 * 10**6], rel=0.02)


def test_nothing_waits_for_the_device_while_it_is_timed():
    device = Device()
    watch = Stopwatch(device.event, device.clock)
    before = device.waits
    for number in range(100):
        with watch.timing(number):
            device.now += 10
    assert device.waits == before


class Delayed:
    """A server whose device does everything `LAG` later than the host asks for it."""

    def __init__(self, server):
        self.server, self.number, self.marks = server, None, []
        server.timing, server.clock = self.timing, self.clock

    def timing(self, number):
        from contextlib import contextmanager

        @contextmanager
        def timed():
            start = perf_counter_ns()
            yield
            self.marks.append((number, start + LAG, perf_counter_ns() + LAG))

        return timed()

    def clock(self, command):
        from ssdreal.channel.after_run import Times

        return Times(tuple(self.marks))


@pytest.mark.parametrize("method", [Speculative(), Ssd()], ids=["speculative", "ssd"])
def test_spans_take_the_device_s_times_once_the_run_is_over(method):
    setup = Setup(method, Closed(prompts=2, output_tokens=12), lookahead=2)
    crew = InlineCrew(load("tiny_target", "float32"), load("tiny_draft", "float32"))
    held = {}
    for role, channel in crew.channels.items():
        held[role] = Delayed(channel.server)
    running = Execution(setup, lambda: crew, HERE, tasks([[1, 2, 3], [4, 5]]))
    before = []

    def note(_record):
        before[:] = [(span.start, span.end) for span in running.recorder.spans]

    running.retired = note
    running.run()
    after = [(span.start, span.end) for span in running.recorder.spans]
    assert before
    starts, ends = (np.array(after[: len(before)]) - before).T
    assert starts.min() > 0.9 * LAG * 1e-9
    for late in (starts, ends):  # the host may be held up between a mark and the next
        assert np.median(late) == pytest.approx(LAG * 1e-9, abs=5e-4)
    run = running.result()
    assert run.info["complete"]
    assert run.metrics["seconds"] <= running.ended


def test_a_host_s_own_times_stay():
    setup = Setup(Speculative(), Closed(prompts=1, output_tokens=8), lookahead=2)
    crew = InlineCrew(load("tiny_target", "float32"), load("tiny_draft", "float32"))
    running = Execution(setup, lambda: crew, HERE, tasks([[1, 2, 3]]))
    running.run()
    for span in running.recorder.spans:
        assert 0 <= span.start <= span.end <= running.ended


@pytest.mark.parametrize("method", [Speculative(), Ssd()], ids=["speculative", "ssd"])
def test_static_servers_mark_their_commands_in_the_device_s_queue(method, monkeypatch):
    device = Live(rate=1.001)
    monkeypatch.setattr(StaticServer, "event", property(lambda _: device.event))
    setup = Setup(method, Closed(prompts=2, output_tokens=12), lookahead=2)
    models = load("tiny_target", "float32"), load("tiny_draft", "float32")
    kinds = StaticSelfServer, StaticDraftServer
    eager = [partial(kind, capturing=CAPTURES["eager"]) for kind in kinds]
    crew = InlineCrew(*models, servers=eager)
    running = Execution(setup, lambda: crew, HERE, tasks([[1, 2, 3], [4, 5]]))
    running.run()
    asked = {role: channel.server.watch.marks for role, channel in crew.channels.items()}
    assert all(len(marks) > 3 for marks in asked.values())
    spans = running.result().spans  # cut short at the run's end
    assert (spans.start <= spans.end).all()
    assert spans.start.min() > -1e-3
    assert spans.end.max() <= running.ended
