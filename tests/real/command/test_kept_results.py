"""The commands that measure: where they may write, and what an end before their time leaves."""

import json
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from ssdreal.bench import program as bench
from ssdreal.bench.contenders import Contender, Contest, Measured
from ssdreal.bench.contenders import Piece as BenchPiece
from ssdreal.bench.measurements import BenchRuns, Entry
from ssdreal.bench.settings_search import search_speculative, search_ssd
from ssdreal.command.journal import journal
from ssdreal.distill import program as distill
from ssdreal.executor.setup import Setup
from ssdreal.gpu_check import program as gpu_check
from ssdreal.profile import program as profile
from ssdreal.validate import program as validate
from ssdreal.validate.measured import Measurements
from ssdsim.errors import ConfigError
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.run.trace import Recorder, Run, load_run
from ssdsim.system.destination import taken
from ssdsim.workloads.closed import Closed

pytestmark = pytest.mark.usefixtures("handlers")

TOOLS = {
    "profile": profile.main,
    "validate": validate.main,
    "bench": bench.main,
    "distill": distill.main,
    "gpu_check": gpu_check.main,
}
WHERE = {
    "empty": "",
    "blank": " ",
    "NUL": "a\0b",
    "surrogate": "a\ud800",
    "half a byte": "a\udcff",
    "too long": "a" * 300,
    "device": "/dev/null",
    "below a device": "/dev/null/x",
}


def ended(tool, *arguments):
    try:
        return TOOLS[tool]([*arguments]) or 0
    except SystemExit as end:
        return end.code


# Where they may write


@pytest.mark.parametrize("name", WHERE)
@pytest.mark.parametrize("tool", TOOLS)
def test_where_nothing_can_be_written(tool, name, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    for start in (
        "ssdreal.profile.program.measure",
        "ssdreal.validate.program.answer",
        "ssdreal.bench.program.measure",
    ):
        monkeypatch.setattr(start, None)  # it does not come to that
    monkeypatch.setattr("ssdreal.distill.program.run", None)
    monkeypatch.setattr("ssdreal.gpu_check.program.check", None)
    assert ended(tool, "--out", WHERE[name]) == 2
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    assert ": --out=" in printed.err or ": --name=" in printed.err, printed.err
    assert not printed.out
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("out", [".", "..", "/"])
@pytest.mark.parametrize("tool", ["distill", "gpu_check"])
def test_what_fills_its_folder_wants_one_of_its_own(tool, out, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert ended(tool, "--out", out) == 2
    assert "is the current directory or one above it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("tool", "start"),
    [
        ("validate", "ssdreal.validate.program.answer"),
        ("distill", "ssdreal.distill.program.run"),
        ("gpu_check", "ssdreal.gpu_check.program.check"),
    ],
)
def test_a_folder_that_is_taken(tool, start, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(start, None)  # it does not come to that
    with taken("--out", tmp_path):
        assert ended(tool, "--out", str(tmp_path)) == 2
    assert "another process is writing there" in capsys.readouterr().err


# What they keep


@dataclass
class Sitting:
    """Makes runs that are known beforehand, and fails at one of them."""

    last: int
    runs: list = field(default_factory=list)

    def execution(self, *_):
        self.runs.append(self)
        if len(self.runs) == self.last:
            raise KeyboardInterrupt
        info = {"schema": 1, "run_id": "1", "metrics": {"tokens_per_s": float(len(self.runs))}}
        run = Run(info, Recorder().tables(0.0))
        return SimpleNamespace(run=lambda: None, lost=None, result=lambda: run)


def bench_runs(last, kept, keep=lambda _: None):
    base = Setup(Autoregressive(), Closed(prompts=1, output_tokens=4))
    contest = Contest(Sitting(last), [])
    made = BenchRuns(contest, None, contest, base, 4, None, lambda _: None, kept, "x", keep=keep)
    for name in ("ar", "sd"):
        made.entries[name] = bench_entry(name, base)
    made._visit = lambda _: None
    return made


def bench_entry(name, setup):
    return Entry(Contender(name, setup, None))


@pytest.fixture
def contested(monkeypatch):
    """Let contenders' runs be those of a `Sitting`."""

    def run(contest, _):
        pieces = (BenchPiece("target", True, 0.5, 1.0, 0.25),)
        return Measured(contest.sitting.execution().result(), pieces)

    monkeypatch.setattr(Contest, "run", run)


@pytest.mark.usefixtures("contested")
def test_a_bench_writes_its_numbers_as_they_come(tmp_path):
    out = tmp_path / "new" / "bench.json"
    asked = bench.plan(["--out", str(out), "--sampled", "--quick"])
    assert not out.parent.exists()
    out.parent.mkdir()
    numbers = bench.Numbers(asked)
    with pytest.raises(KeyboardInterrupt):
        bench_runs(4, journal(tmp_path / "j.json", {}, resume=False), numbers.keep).alternate(3)
    first, *others = json.loads(out.read_text())
    assert not first["complete"]
    assert sum(len(row["speeds"]) for row in first["rows"].values()) == 3
    assert others == [{"decoding": name, "complete": False} for name in asked.decodings[1:]]
    for done in range(1, 1 + len(asked.decodings)):
        numbers.add(SimpleNamespace(plain=dict))
        found = [one["complete"] for one in json.loads(out.read_text())]
        assert found == [at < done for at in range(len(asked.decodings))]
    assert [*out.parent.iterdir()] == [out]


@pytest.mark.parametrize("last", [1, 5, 12, 30])
@pytest.mark.usefixtures("contested")
def test_a_bench_goes_on_from_every_measurement(last, tmp_path):
    """What it searches next depends on what it found, which must be the same again."""

    def made(last, folder, *, resume=False):
        found = bench_runs(last, journal(folder / "j.json", {}, resume=resume))
        found.entries.clear()
        with suppress(KeyboardInterrupt):
            found._search("sd", None, search_speculative)
            found._search("ssd", None, search_ssd)
            found.alternate(2)
        return found, len(found.contest.sitting.runs)

    whole, count = made(0, tmp_path / "whole")
    made(last, tmp_path / "killed")
    found, left = made(0, tmp_path / "killed", resume=True)
    assert left == count - (last - 1)
    assert {name: len(entry.runs) for name, entry in found.entries.items()} == {"sd": 2, "ssd": 2}
    assert [*found.searched["sd"]] == [*whole.searched["sd"]]
    assert found.entries["ssd"].runs[0].pieces == whole.entries["ssd"].runs[0].pieces
    again, left = made(0, tmp_path / "killed", resume=True)
    assert left == 0
    assert again.searched == found.searched
    assert [again.entries[name].speeds for name in ("sd", "ssd")] == [
        found.entries[name].speeds for name in ("sd", "ssd")
    ]


def test_a_bench_to_go_on_with_must_be_named(capsys):
    assert ended("bench", "--resume") == 2
    assert "--resume: needs --out, the file of the bench" in capsys.readouterr().err


def measured(last, folder, *, resume=False, tokens=4):
    """Measure two configurations three times; a `Sitting` that fails at its run `last`."""
    places = SimpleNamespace(places=lambda _: None)
    setup = SimpleNamespace(draft_on=None)
    wanted = [
        SimpleNamespace(
            title=f"test/{name}",
            part="test",
            setup=setup,
            repeat=lambda _: None,
            kept_as=lambda repeat, name=name: (
                f"test/{name}" + f"/repeat_{repeat + 1}" * bool(repeat)
            ),
        )
        for name in "ab"
    ]
    kept = journal(folder / "split.json", {"--tokens": tokens}, resume=resume)
    anchors = SimpleNamespace(take=lambda: None)
    found = Measurements(Sitting(last), places, {"test": []}, kept, anchors)
    with suppress(KeyboardInterrupt):
        found.alternate(wanted, 3, lambda: None)
    return found


@pytest.mark.parametrize("last", [1, 2, 4, 7])
def test_a_validation_goes_on_from_every_repeat(last, tmp_path):
    before = measured(last, tmp_path).runs
    after = measured(99, tmp_path, resume=True)
    assert len(after.sitting.runs) == 6 - (last - 1)
    assert {title: len(runs) for title, runs in after.runs.items()} == {"test/a": 3, "test/b": 3}
    for title, runs in before.items():
        kept = after.runs[title][: len(runs)]
        assert [run.metrics for run in kept] == [run.metrics for run in runs]
    assert load_run(tmp_path / "test" / "b" / "repeat_3").metrics == after.runs["test/b"][2].metrics


def test_a_validation_does_not_go_on_with_other_options_or_with_what_is_of_another(tmp_path):
    measured(99, tmp_path)
    with pytest.raises(ConfigError, match=r"^--resume: --tokens=8: needs 4, which what is kept"):
        measured(99, tmp_path, resume=True, tokens=8)
    measured(2, tmp_path)  # anew, and killed: five old runs lie about
    assert len(measured(99, tmp_path, resume=True).sitting.runs) == 5


def test_a_draft_in_training_is_kept(monkeypatch, tmp_path):
    written = []
    monkeypatch.setattr(distill, "export", lambda *_: written.append(1))
    bar = SimpleNamespace(update=lambda *_, **__: None)
    watch = distill.Watch(SimpleNamespace(out=tmp_path), None, None, bar, 0, saved=float("inf"))
    watch.keep()
    assert not written  # it has learnt nothing yet
    watch(1, 10, 2.0)
    watch.keep()
    assert written


def test_an_interrupted_training_keeps_its_draft(monkeypatch, tmp_path):
    written = []
    monkeypatch.setattr(distill, "export", lambda *_: written.append(1))
    monkeypatch.setattr(distill, "head_of", lambda _: {None: None})

    def train(*arguments):
        arguments[-1](1, 10, 2.0)
        raise KeyboardInterrupt

    monkeypatch.setattr("ssdreal.distill.training.train", train)
    monkeypatch.setattr("ssdreal.distill.training.sample_batches", lambda *_: None)
    options = SimpleNamespace(
        out=tmp_path, tokens=10, minutes=1.0, rate=1e-3, batch=1, seed=0, layers=1
    )
    draft = SimpleNamespace(vocab_ids=SimpleNamespace(long=lambda: None))
    with pytest.raises(KeyboardInterrupt):
        distill.trained(options, None, None, draft, [])
    assert written


def test_a_part_of_the_gpu_check_ends_with_it(tmp_path):
    """SIGTERM ends what was started, too: it is in a session of its own."""
    code = f"""
import sys
from ssdreal.gpu_check.part_runner import PartRunner
from ssdreal.gpu_check.timetable import Part, Timetable
from ssdsim.command.console import ending
sleeping = (sys.executable, "-c", "import time; print('here', flush=True); time.sleep(60)")
with ending():
    part_runner = PartRunner(__import__("pathlib").Path({str(tmp_path)!r}), 60, Timetable())
    list(part_runner.run([Part("sleep", sleeping, 25.0)]))
"""
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:  # noqa: S603
        log = tmp_path / "sleep.log"
        while not (log.exists() and log.read_text()):
            assert process.poll() is None, process.stderr.read()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 130
        assert process.stderr.read().endswith("interrupted\n")
