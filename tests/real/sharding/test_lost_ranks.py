"""Ranks of a sharded target that are lost."""

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
from patience import PATIENCE, cpu_seconds, wait_until
from tiny_runs import TWO_RANKS

from ssdreal.channel.message_parts import Stamp
from ssdreal.channel.messages import Begin, Failed, Ready
from ssdreal.places.places import Place
from ssdreal.workers.process import WorkerProcess
from ssdsim.sampling.settings import Decoding


@pytest.fixture
def worker():
    """Return a started worker, and its followers once it is ready."""
    processes = []

    def start(hiring):
        process = WorkerProcess(hiring)
        processes.append(process)
        process.start()
        (channel,) = process.channels
        (first,) = channel.wire.receive()
        return channel, first, children(channel.process.pid)

    yield start
    for process in processes:
        process.close()


def children(pid):
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (path / "stat").read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue  # it has just ended
        if state != "Z" and int(parent) == pid:
            found.append(int(path.name))
    return found


def gone(pid):
    wait_until(lambda: cpu_seconds(pid) == float("inf"))


@pytest.mark.slow
def test_a_rank_killed_in_mid_pass_is_reported_and_none_is_left(worker):
    channel, first, (follower,) = worker(TWO_RANKS)
    assert first == Ready(64, None)
    os.kill(follower, signal.SIGSTOP)
    channel.send(Begin(Stamp(1, 1), 1, 2, 64, 1, 1, 4, Decoding(), 0))  # which now waits for it
    time.sleep(0.3)
    os.kill(follower, signal.SIGKILL)
    killed = "its process was killed (SIGKILL, as happens when memory runs out)"
    assert channel.wire.receive() == [Failed(None, f"rank 1 of 2: {killed}")]
    gone(channel.process.pid)
    gone(follower)


@pytest.mark.slow
def test_followers_end_with_a_first_rank_that_is_killed(worker):
    channel, _, (follower,) = worker(TWO_RANKS)
    os.kill(channel.process.pid, signal.SIGKILL)
    gone(follower)


@pytest.mark.slow
def test_followers_end_with_a_first_rank_that_is_let_go(worker):
    channel, _, (follower,) = worker(TWO_RANKS)
    channel.hang_up()
    gone(follower)
    channel.process.join(PATIENCE)  # its last thread may outlive the one that ends it
    assert channel.process.exitcode == 0


@pytest.mark.slow
def test_a_rank_that_cannot_begin_says_why(worker):
    nowhere = replace(TWO_RANKS, others=(Place("cuda:7", ()),))
    channel, first, _ = worker(nowhere)
    assert isinstance(first, Failed)
    assert first.reason.startswith("rank 1 of 2: ")
    gone(channel.process.pid)
