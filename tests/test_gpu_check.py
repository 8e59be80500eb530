"""The check of a GPU machine: parts that are run once, stopped in time, and come back in a file."""

import json
import sys
import tarfile

import pytest

from ssdreal.gpu_checking.ceilings import ceilings
from ssdreal.gpu_checking.course import STATE, TOO_LATE, Course, Done, Part


def python(name, code, seconds=5.0):
    return Part(name, [sys.executable, "-c", code], seconds)


def ended(course, parts):
    return {part.name: done and done.code for part, done in course.run(parts)}


def test_a_part_that_ended_well_is_not_run_again(tmp_path):
    count = tmp_path / "count"
    part = python("once", f"open({str(count)!r}, 'a').write('x')")
    for _ in range(2):
        assert ended(Course(tmp_path / "out", 60), [part]) == {"once": 0}
    assert count.read_text() == "x"


def test_a_part_that_failed_is_run_again_and_others_go_on(tmp_path):
    flag = tmp_path / "flag"
    failing = python(
        "failing", f"import pathlib, sys; sys.exit(not pathlib.Path({str(flag)!r}).exists())"
    )
    parts = [failing, python("other", "print('said')")]
    assert ended(Course(tmp_path, 60), parts) == {"failing": 1, "other": 0}
    assert (tmp_path / "other.log").read_text() == "said\n"
    flag.touch()
    assert ended(Course(tmp_path, 60), parts) == {"failing": 0, "other": 0}


def test_what_does_not_fit_into_the_time_is_left(tmp_path):
    parts = [python("short", "", seconds=1), python("long", "", seconds=1000)]
    assert ended(Course(tmp_path, 60), parts) == {"short": 0, "long": None}
    assert "long" not in json.loads((tmp_path / STATE).read_text())


def test_a_part_that_hangs_is_stopped_with_all_it_started(tmp_path):
    pid = tmp_path / "pid"
    hanging = (
        "import subprocess, sys, time;"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
        f"open({str(pid)!r}, 'w').write(str(child.pid)); time.sleep(60)"
    )
    course = Course(tmp_path, 60)
    ((_, done),) = course.run([python("hanging", hanging, seconds=0.5)])
    assert done.code == TOO_LATE
    with pytest.raises(ProcessLookupError):
        _alive(int(pid.read_text()))


def _alive(pid):
    """Raise unless there is such a process that still runs."""
    from pathlib import Path
    from time import sleep

    for _ in range(100):
        stat = Path(f"/proc/{pid}/stat")
        if not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z":
            raise ProcessLookupError(pid)
        sleep(0.02)


def test_an_interruption_loses_nothing(tmp_path):
    course = Course(tmp_path, 60)
    parts = course.run([python("first", ""), python("second", "")])
    next(parts)
    parts.close()
    assert Course(tmp_path, 60).done == {"first": Done(0, course.done["first"].seconds)}


def test_everything_comes_back_in_one_file(tmp_path):
    course = Course(tmp_path, 60)
    list(course.run([python("said", "print('said')")]))
    for _ in range(2):  # a second archive does not hold the first
        with tarfile.open(course.pack()) as archive:
            assert sorted(archive.getnames()) == [STATE, "said.log"]


def test_ceilings_are_rates_of_the_device():
    found = ceilings("cpu", copied=1 << 24, side=128)
    assert found["name"] == "cpu"
    assert 1e8 < found["copy_bytes_per_s"] < 1e13
    assert 1e6 < found["product_flop_per_s"] < 1e14
