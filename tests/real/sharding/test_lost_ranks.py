"""Ranks of a sharded target that are lost."""

import os
import signal
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from patience import PATIENCE, cpu_seconds, wait_until
from tiny_runs import TWO_RANKS

from ssdreal.channel.message_parts import Stamp
from ssdreal.channel.messages import Begin, Failed, Ready
from ssdreal.places.places import Place
from ssdreal.sharding import ranks
from ssdreal.sharding.weight_shares import Share
from ssdreal.workers import loading, sharded_processes
from ssdreal.workers.process import WorkerProcess
from ssdreal.workers.sharded_processes import Followers, _Follower, _follower
from ssdsim.sampling.settings import Decoding


@pytest.fixture
def worker(monkeypatch, tmp_path):
    """Return a started worker, and its followers once it is ready."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # for logs
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
    assert "Traceback (most recent call last):" in channel.stderr.read_text()
    gone(channel.process.pid)


@pytest.mark.parametrize("error", [None, EOFError(), ValueError("a bug")])
def test_graphs_go_before_the_group_and_what_failed_does_not_wait_for_them(error, monkeypatch):
    """NCCL lets nobody leave while a graph has a part of the group, as after an error one does."""
    done = []
    monkeypatch.setattr(sharded_processes, "_leave", lambda: done.append("left"))
    process = SimpleNamespace(join=lambda *_: done.append("gone"), kill=lambda: None)
    orders = SimpleNamespace(close=lambda: done.append("told"))
    followers = Followers(TWO_RANKS, pytest.fail)
    followers.watch = SimpleNamespace(join=lambda *_: None)
    followers.store = SimpleNamespace(wait=lambda keys, _: done.append(tuple(keys)))
    followers.all = [_Follower(1, process, orders, None)]
    model = SimpleNamespace()
    followers.lead(SimpleNamespace(model=model, let_go=lambda: done.append("let go")))
    assert model.tell == followers.tell
    followers.__exit__(None, error, None)
    left = [] if isinstance(error, ValueError) else ["let go", "left"]
    assert done == [("rank 1 has loaded its model",), "told", *left, "gone", "gone"]


def test_a_rank_is_pinned_when_group_and_model_are_there(monkeypatch):
    """The threads of both have more to choose from, and the first rank waits for it."""
    done = []
    store = SimpleNamespace(set=lambda key, _: done.append(key))
    model = SimpleNamespace(device=torch.device("cpu"))
    monkeypatch.setattr(ranks, "meeting_point", lambda *_: store)
    monkeypatch.setattr(ranks, "join", lambda *_: done.append("joined"))
    monkeypatch.setattr(loading, "load", lambda *_, **__: done.append("loaded") or model)
    monkeypatch.setattr(sharded_processes, "pin", done.append)
    _follower(replace(TWO_RANKS, others=(Place("cpu", (5,)),)), Share(1, 2), 0)
    assert done == ["joined", "loaded", (5,), "rank 1 has loaded its model"]
