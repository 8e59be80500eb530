"""Many runs by one command: sweeps, and where they run."""

import errno
import os
import signal
import time
from itertools import count
from pathlib import Path

import pytest
from commands import TINY, command, refused, run
from contract import DETAILED, FILES
from hydra._internal.core_plugins import basic_launcher
from patience import PATIENCE

from ssdsim import load_run


def sweep(out, *arguments):
    return run("-m", "policy=uniform_fanout,geometric_fanout", *arguments, *TINY, f"out={out}")


def test_a_sweep_ranks_its_runs(capsys, tmp_path):
    assert sweep(tmp_path, "lookahead=3,5") == 0
    printed = capsys.readouterr()
    assert not printed.err
    lines = printed.out.splitlines()
    named = [line for line in lines if line.startswith("#")]
    assert [line.split()[:3] for line in named] == [
        [f"#{i}", f"policy={policy}_fanout", f"lookahead={K}"]
        for i, (policy, K) in enumerate(
            [("uniform", 3), ("uniform", 5), ("geometric", 3), ("geometric", 5)]
        )
    ]
    assert f"sweep: {tmp_path}" in printed.out
    ranked = [line.split()[1:3] for line in lines if line.startswith(" ssd")]
    runs = [load_run(tmp_path / str(number)) for number in range(4)]
    runs.sort(key=lambda run_: -run_.metrics["tokens_per_s"])
    lookaheads = [f"lookahead={run_.info['config']['lookahead']}" for run_ in runs]
    assert ranked == [[r.info["policy"], K] for r, K in zip(runs, lookaheads, strict=True)]
    first = Path(runs[0].info["config"]["out"])
    for number in range(4):
        drawn = {"timeline.png"} if tmp_path / str(number) == first else set()
        assert held(tmp_path / str(number)) == FILES - {"timeline.png"} | drawn
    assert printed.out.endswith(f"picture of the fastest run: {first}/timeline.png\n")


def held(directory):
    return {path.name for path in directory.iterdir()}


def table(out):
    """Return the ranking that a sweep printed."""
    return [line for line in out.splitlines() if line.startswith(" ssd")]


@pytest.mark.slow
def test_only_the_fastest_run_is_kept_where_that_is_asked_for(capsys, tmp_path):
    whole, best = tmp_path / "whole", tmp_path / "best"
    assert sweep(whole, "lookahead=1,2") == 0
    wanted = table(capsys.readouterr().out)
    assert sweep(best, "lookahead=1,2", "keep=best") == 0
    out = capsys.readouterr().out
    assert table(out) == wanted
    numbers = [path for path in best.iterdir() if path.is_dir()]
    assert out.endswith(f"run directory of the fastest: {numbers[0]}\n")
    assert [held(path) for path in numbers] == [FILES]
    twin = whole / numbers[0].name
    assert "timeline.png" in held(twin)
    for name in ("rounds.parquet", "spans.parquet", "timeline.json"):
        assert (numbers[0] / name).read_bytes() == (twin / name).read_bytes()


def test_nothing_but_the_table_is_left_where_that_is_asked_for(capsys, tmp_path):
    assert sweep(tmp_path / "out", "lookahead=2", "keep=none") == 0
    printed = capsys.readouterr()
    assert len(table(printed.out)) == 2
    assert printed.out.endswith("no run directory was kept\n")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        (("keep=best",), "keep: has no effect, a single run keeps its directory"),
        (("-m", "lookahead=1,2", "keep=some"), "keep='some': needs one of all, best, none"),
        (("-m", "keep=best,none"), "keep=best,none: is said once, of all runs of a sweep"),
    ],
)
def test_what_is_kept_is_said_once_and_of_sweeps(arguments, wrong, capsys, tmp_path):
    assert refused(capsys, tmp_path / "out", *arguments, *TINY).startswith(wrong)


@pytest.mark.slow
def test_a_run_that_breaks_down_is_kept_in_any_case(monkeypatch, tmp_path):
    monkeypatch.setattr("ssdsim.engine.baselines.compare", broken(2))
    assert run("-m", "lookahead=3,4,5", "keep=none", *TINY, f"out={tmp_path}") == 1
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["1"]
    assert {"run.json", "failed.txt", "traceback.txt"} <= held(tmp_path / "1")


@pytest.mark.slow
def test_a_full_disk_at_the_end_costs_no_run(monkeypatch, capsys, tmp_path):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("ssdsim.command.keeping.draw", full)
    assert run("-m", "lookahead=3,4", "keep=best", *TINY, f"out={tmp_path}") == 1
    printed = capsys.readouterr()
    assert len(table(printed.out)) == 2
    assert printed.err.startswith(f"ssdsim: {tmp_path}: keep=best could not be carried out")
    assert len([*tmp_path.glob("*/run.json")]) == 2


@pytest.mark.slow
def test_an_interrupted_sweep_keeps_what_it_has(monkeypatch, tmp_path):
    ends = iter((lambda: None, lambda: os.kill(os.getpid(), signal.SIGINT)))
    monkeypatch.setattr("ssdsim.engine.baselines.compare", lambda *_: next(ends)() or {})
    assert run("-m", "lookahead=3,4,5", "keep=none", *TINY, f"out={tmp_path}") == 130
    assert [path.parent.name for path in sorted(tmp_path.glob("*/run.json"))] == ["0", "1"]


def test_a_refused_configuration_costs_no_other(capsys, tmp_path):
    assert sweep(tmp_path, "lookahead=3,-1") == 2
    printed = capsys.readouterr()
    why = "was refused: lookahead=-1: needs a number >= 0"
    assert printed.err.splitlines() == [f"ssdsim: #{number} {why}" for number in (1, 3)]
    assert printed.out.count("\n ssd") == 2
    assert sorted(path.parent.name for path in tmp_path.glob("*/run.json")) == ["0", "2"]


@pytest.mark.slow
def test_a_sweep_ranks_no_earlier_runs(capsys, tmp_path):
    assert sweep(tmp_path, "lookahead=3") == 0
    time.sleep(0.02)
    assert run("-m", "lookahead=3", *TINY, f"out={tmp_path}", "overwrite=true") == 0
    assert capsys.readouterr().out.rpartition("sweep:")[2].count("\n ssd") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"0", "multirun.yaml"}


@pytest.mark.slow
@pytest.mark.parametrize("again", [("-m", "lookahead=5"), ("lookahead=5",)], ids=["sweep", "run"])
def test_a_sweep_is_not_overwritten_without_a_word(again, capsys, tmp_path):
    assert run("-m", "lookahead=3", *TINY, f"out={tmp_path}") == 0
    capsys.readouterr()
    before = (tmp_path / "0" / "run.json").read_bytes()
    assert run(*again, *TINY, f"out={tmp_path}") == 2
    line = capsys.readouterr().err
    assert line == (
        f"ssdsim: out={tmp_path}: holds a run ({tmp_path}/0/run.json); "
        "add overwrite=true to replace it, or choose another directory\n"
    )
    assert (tmp_path / "0" / "run.json").read_bytes() == before
    assert run("lookahead=5", *TINY, f"out={tmp_path}", "overwrite=true") == 0
    assert {path.name for path in tmp_path.iterdir()} == DETAILED


@pytest.mark.slow
def test_a_refused_sweep_costs_no_earlier_runs(tmp_path):
    assert run("-m", "lookahead=3", *TINY, f"out={tmp_path}") == 0
    assert run("-m", "lookahead=3", "policy=x", f"out={tmp_path}", "overwrite=true") == 2
    assert load_run(tmp_path / "0").info["complete"]
    assert {path.name for path in tmp_path.iterdir()} == {"0", "multirun.yaml"}


def test_a_sweep_over_an_unknown_option_leaves_nothing(capsys, tmp_path):
    line = refused(capsys, tmp_path / "out", "-m", "policy=uniform_fanout,nosuch", *TINY)
    assert line.startswith("policy=nosuch: no such option")
    line = refused(capsys, tmp_path / "out", "-m", "lookahead=3,5", "polcy=x", *TINY)
    assert line.startswith("polcy=x: no such option")


def broken(number):
    """Return a comparison that breaks down, at this call, as nobody foresaw."""
    calls = count(1)

    def compare(*_):
        if next(calls) == number:
            raise AssertionError("two\nlines")
        return {}

    return compare


@pytest.mark.slow
def test_a_run_that_breaks_down_costs_no_ranking(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("ssdsim.engine.baselines.compare", broken(2))
    assert run("-m", "lookahead=3,4,5", *TINY, f"out={tmp_path}") == 1
    printed = capsys.readouterr()
    assert printed.out.rpartition("sweep:")[2].count("\n ssd") == 3  # it was decoded before
    note = tmp_path / "1/traceback.txt"
    assert printed.err == f"ssdsim: #1 failed: AssertionError: two lines (see {note})\n"
    assert "in compare" in note.read_text()


@pytest.mark.slow
def test_a_line_that_cannot_be_printed_costs_no_ranking(monkeypatch, capsys, tmp_path):
    def unprintable(*_):
        raise UnicodeEncodeError("ascii", "é", 0, 1, "no")

    monkeypatch.setattr("ssdsim.command.program.show_line", unprintable)
    assert run("-m", "lookahead=3,4", *TINY, f"out={tmp_path}") == 1
    printed = capsys.readouterr()
    assert printed.out.count("\n ssd") == 2
    assert printed.err.count("failed: UnicodeEncodeError") == 2


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_sweep_is_ranked(number, monkeypatch, capsys, tmp_path):
    ends = iter((lambda: None, lambda: os.kill(os.getpid(), number)))
    monkeypatch.setattr("ssdsim.engine.baselines.compare", lambda *_: next(ends)() or {})
    assert run("-m", "lookahead=3,4,5", *TINY, f"out={tmp_path}") == 130
    printed = capsys.readouterr()
    assert printed.out.rpartition("sweep:")[2].count("\n ssd") >= 1
    assert printed.err == f"ssdsim: interrupted; what was computed is in {tmp_path / '1'}\n"
    assert not (tmp_path / "2").exists()


@pytest.mark.slow
def test_an_interrupt_between_two_runs_is_ranked(monkeypatch, capsys, tmp_path):
    jobs = count()

    def run_job(*arguments, **options):
        if next(jobs) == 1:
            raise KeyboardInterrupt
        return once(*arguments, **options)

    once = basic_launcher.run_job
    monkeypatch.setattr(basic_launcher, "run_job", run_job)
    assert run("-m", "lookahead=3,4", *TINY, f"out={tmp_path}") == 130
    printed = capsys.readouterr()
    assert printed.out.rpartition("sweep:")[2].count("\n ssd") == 1
    assert printed.err == "ssdsim: interrupted\n"


@pytest.mark.slow
def test_a_torn_run_is_named_beside_the_ranking(monkeypatch, capsys, tmp_path):
    def tear(_, __, ___, out):
        if out.name == "0":
            (out / "run.json").write_text("{")

    monkeypatch.setattr("ssdsim.command.program.show_line", tear)
    assert run("-m", "lookahead=3,4", *TINY, f"out={tmp_path}") == 1
    printed = capsys.readouterr()
    assert printed.out.count("\n ssd") == 1
    assert "ssdsim: #0 failed: run directory" in printed.err


def launched(launcher, out):
    """Sweep with another launcher; it starts processes, and is a process itself."""
    process = command(
        "-m",
        "lookahead=3,-1,2",
        "method=speculative",
        f"hydra/launcher={launcher}",
        "keep=best",
        *TINY,
        f"out={out}",
    )
    printed, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2, err
    assert err == "ssdsim: #1 was refused: lookahead=-1: needs a number >= 0\n"
    assert printed.count("\n speculative") == 2
    assert load_run(out / "0").info["complete"]
    assert {path.name for path in out.glob("[!.]*")} == {"0", "1", "multirun.yaml"}


@pytest.mark.slow
def test_a_sweep_on_all_cores(tmp_path):
    launched("joblib", tmp_path)


@pytest.mark.slow
def test_a_sweep_as_submitit_jobs(tmp_path):
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    launched("submitit_local", tmp_path)
