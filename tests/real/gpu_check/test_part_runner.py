"""Parts of the check are run once, stopped in time, and cost each other nothing."""

import json
import os
import random
import subprocess
import sys
import tarfile

import pytest
from patience import cpu_seconds, wait_until

from ssdreal.gpu_check.packing import COMPILED, PACKED, pack, pack_caches
from ssdreal.gpu_check.part_process import CACHES, TOO_LATE, WORKERS, carried_out
from ssdreal.gpu_check.part_runner import STATE, Done, PartRunner
from ssdreal.gpu_check.parts import UNFUSED
from ssdreal.gpu_check.timetable import Call, Part, Timetable, limit


def python(name, code, seconds=20.0, **more):
    return Part(name, [sys.executable, "-c", code], seconds, **more)


def part_runner(folder, seconds=60):
    return PartRunner(folder, seconds, Timetable())


def ended(part_runner, parts):
    return {part.name: done and done.code for part, done in part_runner.run(parts)}


def test_a_part_that_ended_well_is_not_run_again(tmp_path):
    count = tmp_path / "count"
    part = python("once", f"open({str(count)!r}, 'a').write('x')")
    for _ in range(2):
        assert ended(part_runner(tmp_path / "out"), [part]) == {"once": 0}
    assert count.read_text() == "x"


def test_a_part_that_failed_is_run_again_and_others_go_on(tmp_path):
    flag = tmp_path / "flag"
    failing = python(
        "failing", f"import pathlib, sys; sys.exit(not pathlib.Path({str(flag)!r}).exists())"
    )
    parts = [failing, python("other", "print('said')")]
    assert ended(part_runner(tmp_path), parts) == {"failing": 1, "other": 0}
    assert (tmp_path / "other.log").read_text() == "said\n"
    flag.touch()
    assert ended(part_runner(tmp_path), parts) == {"failing": 0, "other": 0}


def test_what_does_not_fit_into_the_time_is_left(tmp_path):
    parts = [python("short", ""), python("long", "", seconds=1000)]
    assert ended(part_runner(tmp_path), parts) == {"short": 0, "long": None}
    assert "long" not in json.loads((tmp_path / STATE).read_text())


def test_a_part_that_hangs_says_where_and_is_stopped_with_all_it_started(tmp_path):
    pid = tmp_path / "pid"
    hanging = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'],"
        " stderr=subprocess.DEVNULL)\n"
        f"open({str(pid)!r}, 'w').write(str(child.pid))\n"
        "def waits_without_end(): time.sleep(600)\n"
        "waits_without_end()"
    )
    for seconds in (0.5, 4, 16):  # it must have come as far as to hang
        parts = [python("hanging", hanging, seconds), python("other", "print('said')")]
        assert ended(part_runner(tmp_path), parts) == {"hanging": TOO_LATE, "other": 0}
        if pid.exists() and pid.read_text():
            break
        (tmp_path / STATE).unlink()
    wait_until(lambda: cpu_seconds(int(pid.read_text())) == float("inf"))
    assert "in waits_without_end" in (tmp_path / "hanging.log").read_text()


def test_an_interruption_loses_nothing(tmp_path):
    first = part_runner(tmp_path)
    parts = first.run([python("first", ""), python("second", "")])
    next(parts)
    parts.close()
    assert part_runner(tmp_path).done == {"first": Done(0, first.done["first"].seconds)}


def test_an_interruption_that_leaves_a_lock_behind_ends(tmp_path, monkeypatch):
    """It came between the taking of the lock in `Popen.wait` and what gives it back."""

    class Interrupted(subprocess.Popen):
        def wait(self, timeout=None):
            assert self._waitpid_lock.acquire(blocking=False), "for ever"
            raise KeyboardInterrupt

    monkeypatch.setattr("ssdreal.gpu_check.part_process.subprocess.Popen", Interrupted)
    part = Part("sleep", (sys.executable, "-c", "import time; time.sleep(60)"), 25.0)
    with pytest.raises(KeyboardInterrupt):
        carried_out(part, tmp_path, 60.0)


def test_caches_are_in_one_place_and_a_part_has_its_own_variables(tmp_path):
    names = ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "TORCH_COMPILE_DISABLE")
    code = f"import os; print(*(os.environ.get(name) for name in {names!r}))"
    parts = [python("fused", code), python("unfused", code, environment=UNFUSED)]
    ended(part_runner(tmp_path), parts)
    caches = tmp_path.resolve() / CACHES
    common = f"{caches / 'inductor'} {caches / 'triton'}"
    fused = os.environ.get("TORCH_COMPILE_DISABLE")
    assert (tmp_path / "fused.log").read_text() == f"{common} {fused}\n"
    assert (tmp_path / "unfused.log").read_text() == f"{common} 1\n"


# What comes back


def test_everything_small_comes_back_in_one_file_and_caches_in_another(tmp_path):
    list(part_runner(tmp_path).run([python("said", "print('said')")]))
    assert pack_caches(tmp_path) is None
    (tmp_path / CACHES / "triton").mkdir(parents=True)
    (tmp_path / CACHES / "triton" / "kernel").touch()
    for name in ("target.log", "socket"):
        (tmp_path / WORKERS / name).touch()
    for _ in range(2):  # a second archive does not hold the first
        pack_caches(tmp_path)
        with tarfile.open(pack(tmp_path)) as archive:
            assert sorted(archive.getnames()) == [STATE, "said.log", "workers/target.log"]
    with tarfile.open(tmp_path / COMPILED) as archive:
        assert "caches/triton/kernel" in archive.getnames()


def test_what_is_drawn_from_the_rest_stays_behind(tmp_path):
    (tmp_path / "run").mkdir()
    for name in ("run.json", "spans.parquet", "timeline.json", "timeline.png", "page.html"):
        (tmp_path / "run" / name).touch()
    assert pack(tmp_path).name == PACKED
    with tarfile.open(tmp_path / PACKED) as archive:
        assert sorted(archive.getnames()) == ["run", "run/run.json", "run/spans.parquet"]


# A dry run: time passes when a part says so


class Machine:
    """Runs nothing: parts take what is expected, but some crash and some hang."""

    def __init__(self, folder, timetable, crashing=(), hanging=()):
        self.now, self.timetable = 0.0, timetable
        self.crashing, self.hanging = crashing, hanging
        self.runner = PartRunner(folder, 3600, timetable, lambda: self.now, self.carry_out)

    def carry_out(self, part, _, most):
        takes = self.timetable.expected(part)
        if part.name in self.crashing:
            self.now += takes / 2
            return 1
        if part.name in self.hanging or takes > most:
            self.now += most
            return TOO_LATE
        self.now += takes
        return 0

    def call(self, call):
        began = self.now
        found = list(self.runner.run(call.parts, call.seconds))
        assert self.now - began <= call.seconds
        return {part.name for part, done in found if done and done.code == 0}


SHAPES = [frozenset((name, at) for at in range(8)) for name in ("through", "chosen")]
CALLS = (
    Call("first", 60, tuple(Part(name, (), 12) for name in "abcd")),
    Call(
        "second",
        70,
        (Part("e", (), 10, SHAPES[0]), Part("f", (), 10, SHAPES[0]), Part("g", (), 9, SHAPES[1])),
    ),
    Call("third", 30, (Part("h", (), 20), Part("i", (), 10), Part("j", (), 20))),  # j does not fit
)


def whole(folder, calls, **faults):
    machine = Machine(folder, Timetable(16), **faults)
    return set().union(*map(machine.call, calls))


def dry_runs(tmp_path, calls, times):
    """Hold that whatever crashes or hangs, all else is done that is done where nothing does."""
    fine = whole(tmp_path / "fine", calls)
    rng, names = random.Random(3), sorted(fine)
    for time in range(times):
        crashing, hanging = (set(rng.sample(names, rng.randrange(3))) for _ in range(2))
        found = whole(tmp_path / str(time), calls, crashing=crashing, hanging=hanging)
        assert found >= fine - crashing - hanging, (crashing, hanging)
    return fine


def test_a_crash_or_a_hang_costs_no_other_part_its_results(tmp_path):
    assert dry_runs(tmp_path, CALLS, 60) == set("abcdefghi")


def test_what_was_compiled_for_one_part_is_there_for_the_next(tmp_path):
    timetable = Timetable(4)
    machine = Machine(tmp_path, timetable)
    first, second, _ = CALLS[1].parts
    assert timetable.expected(first) == timetable.expected(second) == 10 + 0.5 * 8 + 4.0 * 8 / 4
    machine.call(CALLS[1])
    assert timetable.expected(second) == 10 + 0.5 * 8


@pytest.mark.parametrize(
    ("expected", "left", "most"),
    [
        ([10], 9, None),
        ([10], 12, 12),
        ([10], 100, 20),
        ([10, 30, 40], 85, 15),
        ([10, 30, 50], 85, 20),  # the last one does not fit in any case
    ],
)
def test_a_part_may_take_twice_its_time_but_nothing_that_later_ones_need(expected, left, most):
    assert limit(expected, left) == most
