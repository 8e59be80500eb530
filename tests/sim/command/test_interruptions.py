"""Runs that end before their time leave a directory that can be read."""

import os
import signal
import time

import pytest
from commands import TINY, command, run
from contract import METRICS, SPEEDUPS

import ssdsim.engine.simulation
from ssdsim import load_run
from ssdsim.command import cli
from ssdsim.methods.ssd import Ssd


def wait_for(path):
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} never came"
        time.sleep(0.005)


@pytest.mark.parametrize("interrupt", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_can_be_read(interrupt, tmp_path):
    process = command("workload.prompts=100000", f"out={tmp_path}")
    wait_for(tmp_path / "run.json")
    time.sleep(0.5)
    process.send_signal(interrupt)
    time.sleep(0.02)
    process.send_signal(interrupt)  # an impatient second one
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == f"ssdsim: interrupted; what was computed is in {tmp_path}\n"
    found = load_run(tmp_path)
    assert not found.info["complete"]
    assert len(found.rounds) > 100
    assert set(found.sequences.reason) == {"length", "cut"}
    assert set(METRICS) <= set(found.metrics)


def interrupted(*_, **__):
    raise KeyboardInterrupt


def test_a_run_interrupted_in_its_comparison_is_complete(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("ssdsim.engine.baselines.compare", interrupted)
    assert run(*TINY, f"out={tmp_path}") == 130
    assert "interrupted" in capsys.readouterr().err
    found = load_run(tmp_path)
    assert found.info["complete"]
    assert [found.metrics[name] for name in SPEEDUPS] == [None] * 3
    assert found.metrics["tokens"] == 96
    assert (tmp_path / "timeline.png").exists()


def test_interrupted_before_it_began(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(cli, "setup_from", interrupted)
    assert run(*TINY, f"out={tmp_path / 'out'}") == 130
    assert capsys.readouterr().err == "ssdsim: interrupted\n"
    assert not (tmp_path / "out").exists()


def test_a_crash_in_a_method_leaves_what_was_computed(monkeypatch, tmp_path):
    original = Ssd._look_up

    def crashing(self, session, rows):
        if len(session.recorder.rounds) == 10:
            raise RuntimeError("the method has a bug")
        return (yield from original(self, session, rows))

    monkeypatch.setattr(Ssd, "_look_up", crashing)
    with pytest.raises(RuntimeError, match="has a bug"):
        run(*TINY, f"out={tmp_path}")
    found = load_run(tmp_path)
    assert not found.info["complete"]
    assert len(found.rounds) == 10


def test_no_interrupt_tears_a_directory(monkeypatch, tmp_path):
    original = ssdsim.run.trace.Run.save
    torn = []

    def impatient(self, directory):
        os.kill(os.getpid(), signal.SIGINT)
        original(self, directory)
        torn.append(directory)

    monkeypatch.setattr(ssdsim.run.trace.Run, "save", impatient)
    assert run(*TINY, f"out={tmp_path}") == 0
    assert len(torn) == 2
    assert load_run(tmp_path).info["complete"]
