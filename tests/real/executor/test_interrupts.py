"""Ctrl-C and full disks while models run: what was computed is kept, and nothing is left."""

import errno
import os
import signal

import pytest
from faults import at_call
from real_commands import SSD, Threads, run

import ssdsim.run.stored_table
import ssdsim.run.trace
from ssdreal.workers.crew import Processes
from ssdreal.workers.inbox import Inbox
from ssdreal.workers.process import WorkerProcess
from ssdsim import load_run

pytestmark = pytest.mark.usefixtures("nothing_left")


# Interrupts


def interrupt(number):
    return lambda: os.kill(os.getpid(), number)


@pytest.mark.usefixtures("hosting")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("moment", "call", "whole"),
    [("loading", 1, False), ("waiting", 1, False), ("waiting", 20, False), ("waiting", 90, True)],
    ids=["loading", "begin", "decoding", "baselines"],
)
def test_an_interrupt(moment, call, whole, number, monkeypatch, capsys, tmp_path):
    holder, name = {"loading": (Processes, "_greet"), "waiting": (Inbox, "wait")}[moment]
    at_call(monkeypatch, holder, name, {call}, interrupt(number))
    assert run(*SSD, f"out={tmp_path}", hire=Threads) == 130
    printed = capsys.readouterr()
    assert printed.err == f"ssdreal: interrupted; what was computed is in {tmp_path}\n"
    assert not printed.out
    found = load_run(tmp_path)
    assert found.info["complete"] == whole
    assert (len(found.rounds) > 0) == (call > 1)


def test_a_second_interrupt_leaves_no_worker_either(monkeypatch, capsys, tmp_path):
    at_call(monkeypatch, Inbox, "wait", {20}, interrupt(signal.SIGINT))
    at_call(monkeypatch, WorkerProcess, "close", {1, 2}, interrupt(signal.SIGINT))
    assert run(*SSD, f"out={tmp_path}", hire=Threads) == 130
    assert capsys.readouterr().err.count("interrupted") == 1


@pytest.mark.slow
def test_an_interrupted_sweep(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("ssdreal.executor.baselines.compare", lambda *_: {})
    starts = at_call(monkeypatch, Threads, "_greet", {2}, interrupt(signal.SIGTERM))
    drafts = "pair.draft=tiny_draft,tiny_trimmed_draft,tiny_draft"
    assert run("-m", drafts, *SSD, f"out={tmp_path}", hire=Threads) == 130
    assert "interrupted" in capsys.readouterr().err
    assert len(starts) == 2
    assert [load_run(tmp_path / name).info["complete"] for name in "01"] == [True, False]
    assert not (tmp_path / "2").exists()


# Full disks


def full():
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    ("write", "saves", "left"),
    [
        ("write_table", {2}, None),
        ("write_table", {7}, False),
        ("save_timeline", {2}, False),
        ("_write_json", {4}, False),  # each saving writes the vocabulary and the info
        ("_write_json", {5}, True),
    ],
    ids=["claim", "tables", "timeline", "info", "baselines"],
)
def test_a_full_disk(write, saves, left, monkeypatch, capsys, tmp_path):
    trace = ssdsim.run.trace
    pq = ssdsim.run.stored_table.pq
    holder = {"write_table": pq, "save_timeline": trace.Run}.get(write, trace)
    at_call(monkeypatch, holder, write, saves, full)
    out = tmp_path / "out"
    assert run(*SSD, f"out={out}") == 1
    line = capsys.readouterr().err
    assert line.startswith(f"ssdreal: out={out}: cannot be written (No space left on device)")
    assert line.count("\n") == 1
    if left is None:
        assert not out.exists()
        return
    found = load_run(out)
    assert found.info["complete"] == left
    assert "tokens/s" in line  # what there was nowhere else to write down
    assert not list(out.glob(".*"))


def test_a_full_disk_at_the_picture(monkeypatch, capsys, tmp_path):
    at_call(monkeypatch, ssdsim.run.picture, "timeline_picture", {1}, full)
    assert run(*SSD, f"out={tmp_path}") == 1
    assert "No space left on device" in capsys.readouterr().err
    assert load_run(tmp_path).info["complete"]


@pytest.mark.slow
def test_a_full_disk_in_a_sweep(monkeypatch, capsys, tmp_path):
    at_call(monkeypatch, ssdsim.run.stored_table.pq, "write_table", {5}, full)
    assert run("-m", "seed=0,1", *SSD, f"out={tmp_path}") == 1
    assert "ssdreal: #0 failed: out=" in capsys.readouterr().err
    assert load_run(tmp_path / "1").info["complete"]
