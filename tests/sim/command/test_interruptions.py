"""Runs that end before their time leave a directory that can be read."""

import os
import signal
import time

import pytest
from commands import TINY, command, run
from contract import METRICS, SPEEDUPS
from patience import PATIENCE, wait_until, work_for

import ssdsim.engine.simulation
from ssdsim import load_run
from ssdsim.command import cli
from ssdsim.decoding.session import Session


@pytest.mark.parametrize(
    "interrupt", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_an_interrupted_run_can_be_read(interrupt, tmp_path):
    process = command("workload.prompts=5000", f"out={tmp_path}")
    wait_until((tmp_path / "run.json").exists)
    work_for(process.pid, seconds=0.4)
    process.send_signal(interrupt)
    time.sleep(0.02)
    process.send_signal(interrupt)  # an impatient second one
    _, err = process.communicate(timeout=PATIENCE)
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
    original = Session.admit

    def crashing(session):
        if len(session.recorder.rounds) == 10:
            raise RuntimeError("the method has a bug")
        return (yield from original(session))

    monkeypatch.setattr(Session, "admit", crashing)
    with pytest.raises(RuntimeError, match="has a bug"):
        run(*TINY, f"out={tmp_path}")
    found = load_run(tmp_path)
    assert not found.info["complete"]
    assert len(found.rounds) == 10


@pytest.mark.parametrize(("save", "whole"), [(1, False), (2, True)], ids=["claim", "end"])
@pytest.mark.parametrize("interrupt", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_waits_until_the_directory_is_written(
    interrupt, save, whole, monkeypatch, capsys, tmp_path
):
    original, saves = ssdsim.run.trace.Run.save, []

    def impatient(self, directory):
        saves.append(directory)
        if len(saves) == save:
            os.kill(os.getpid(), interrupt)
        original(self, directory)

    monkeypatch.setattr(ssdsim.run.trace.Run, "save", impatient)
    monkeypatch.setattr("ssdsim.engine.baselines.compare", None)  # it comes to no comparison
    assert run(*TINY, f"out={tmp_path}") == 130
    line = f"ssdsim: interrupted; what was computed is in {tmp_path}\n"
    assert capsys.readouterr().err == line
    assert load_run(tmp_path).info["complete"] == whole
    assert not list(tmp_path.glob(".*"))


def test_an_interrupt_while_the_comparison_is_written(monkeypatch, tmp_path):
    original = ssdsim.run.trace.Run.save_info

    def impatient(self, directory):
        os.kill(os.getpid(), signal.SIGINT)
        original(self, directory)

    monkeypatch.setattr(ssdsim.run.trace.Run, "save_info", impatient)
    assert run(*TINY, f"out={tmp_path}") == 130
    assert load_run(tmp_path).metrics["speedup_over_ar"] > 0


def test_an_interrupt_while_everything_is_closed_changes_nothing(monkeypatch, capsys, tmp_path):
    closing = lambda _: os.kill(os.getpid(), signal.SIGINT)  # noqa: E731 - it is no more than that
    monkeypatch.setattr(cli.Simulating, "close", closing)
    assert run(*TINY, f"out={tmp_path}") == 0
    assert not capsys.readouterr().err
