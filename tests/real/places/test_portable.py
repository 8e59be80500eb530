"""Systems that lack what Linux has, and containers that may use less than they see."""

import errno
import json
import os
import select
import signal
import subprocess
import sys

import pytest
from real_commands import SSD, Threads, run

from ssdreal import extra
from ssdreal.channel.probability_pages import OpenPages, Pages, Place
from ssdreal.gpu_check.part_process import carried_out
from ssdreal.gpu_check.timetable import Part
from ssdreal.places import places
from ssdreal.places.topology import Cpu, OneGpu
from ssdreal.workers.lifetime import lower_priority
from ssdreal.workers.process import _interrupts_held_back
from ssdsim.command import config
from ssdsim.errors import ConfigError
from ssdsim.system.processor import cpu_quota, processor

UNPINNED = "cores are not pinned: this system moves processes as it likes"


@pytest.fixture
def unpinned(monkeypatch):
    """Lack what macOS and Windows lack."""
    for name in ("sched_getaffinity", "sched_setaffinity", "SCHED_BATCH", "memfd_create"):
        monkeypatch.delattr(os, name, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)


@pytest.mark.usefixtures("unpinned")
def test_without_affinity_all_cores_count_and_nothing_is_pinned():
    assert Cpu().cores == (0, 1)
    assert OneGpu().places("own").draft.cores == (1,)
    places.pin((0,))
    with places.kept_on((0, 1)):
        pass
    assert places.cautions((0, 1)) == [UNPINNED]


@pytest.mark.usefixtures("unpinned", "alone", "nothing_left")
def test_a_run_that_is_not_pinned_says_so(capsys, tmp_path):
    assert run(*SSD, "temperature=1", f"out={tmp_path}", hire=Threads) == 0
    assert UNPINNED in capsys.readouterr().out
    info = json.loads((tmp_path / "run.json").read_text())
    assert (info["pinned"], info["cautions"]) == (False, [UNPINNED])


@pytest.mark.parametrize("error", [OSError(errno.EINVAL, "Invalid argument"), PermissionError()])
def test_a_sandbox_may_refuse_to_lower_priorities(error, monkeypatch):
    asked = []

    def refuse(*arguments):
        asked.append(arguments)
        raise error

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    lower_priority()
    assert len(asked) == 1


@pytest.mark.parametrize("lacking", [(), ("memfd_create",)])
def test_pages_are_shared_with_and_without_nameless_files(lacking, monkeypatch):
    for name in lacking:
        monkeypatch.delattr(os, name, raising=False)
    with Pages(1, 2, 3, 4).made() as pages:
        first, second = OpenPages(pages), OpenPages(pages)
        first.write(Place(2, 0, 1), 0, [1, 2, 3, 4])
        assert second.read(Place(2, 0, 1), 1).tolist() == [[1, 2, 3, 4]]
        first.close()
        second.close()
    assert not os.path.exists(pages.path)  # noqa: PTH110


def test_interrupts_are_held_back_where_none_can_be_blocked(monkeypatch):
    monkeypatch.delattr(signal, "pthread_sigmask")
    with pytest.raises(KeyboardInterrupt), _interrupts_held_back():
        signal.raise_signal(signal.SIGINT)


def test_commands_are_ended_where_there_are_no_groups(monkeypatch, tmp_path):
    monkeypatch.delattr(os, "killpg")
    sleeping = Part("sleep", (sys.executable, "-c", "import time; time.sleep(60)"), 25.0)
    assert carried_out(sleeping, tmp_path, 0.1) != 0


def test_a_system_without_poll_is_refused_by_name(monkeypatch):
    monkeypatch.delattr(select, "poll")
    with pytest.raises(ConfigError, match="pipes that can be polled: Linux and macOS have them"):
        extra.check()


LACKING = """
import builtins, os, select, signal, sys
for module, names in ((os, ("sched_getaffinity", "sched_setaffinity", "memfd_create", "killpg",
        "fork", "getuid", "SCHED_BATCH")), (signal, ("pthread_sigmask", "SIGKILL")),
        (select, ("poll",))):
    for name in names:
        if hasattr(module, name):
            delattr(module, name)
for name in ("fcntl", "resource", "termios", "grp"):
    sys.modules[name] = None
from ssdsim.command.entry import enter
sys.exit(enter("ssdsim"))
"""


@pytest.mark.slow
def test_simulations_need_nothing_of_it(tmp_path):
    tiny = "workload.prompts=2", "workload.output_tokens=8", f"out={tmp_path}"
    command = [sys.executable, "-c", LACKING, *tiny]
    found = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - above
    assert (found.returncode, found.stderr) == (0, "")
    assert json.loads((tmp_path / "run.json").read_text())["complete"]


def test_profiles_may_be_on_another_drive(monkeypatch, tmp_path):
    def fails(_):
        raise ValueError("path is on mount 'C:', start on mount 'D:'")

    monkeypatch.setattr(config.os.path, "relpath", fails)
    found = config._beside({"path": "."}, tmp_path / "profile.yaml")
    assert found == {"acceptance": {"path": str(tmp_path)}}


# A container's quota


def group(folder, **files):
    """Write the files of a control group."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(f"{content}\n")


V1 = {"cpu__cfs_quota_us": 50_000, "cpu__cfs_period_us": 100_000}


@pytest.mark.parametrize(
    ("own", "groups", "quota"),
    [
        ("0::/\n", {"": {"cpu__max": "150000 100000"}}, 1.5),
        ("0::/\n", {"": {"cpu__max": "max 100000"}}, None),
        ("0::/a/b\n", {"a/b": {"cpu__max": "max 100000"}, "a": {"cpu__max": "200000 100000"}}, 2),
        ("0::/a/b\n", {"a/b": {"cpu__max": "100000 100000"}, "a": {"cpu__max": "2000 1000"}}, 1),
        ("0::/docker/away\n", {"": {"cpu__max": "100000 100000"}}, 1),
        ("4:cpu,cpuacct:/docker/away\n", {"cpu,cpuacct": V1}, 0.5),
        ("4:cpu,cpuacct:/docker/here\n", {"cpu,cpuacct/docker/here": V1}, 0.5),
        ("4:cpu:/\n", {"cpu": {**V1, "cpu__cfs_quota_us": -1}}, None),
        ("5:memory:/\n3:cpuset:/a\n", {"cpuset/a": {"cpu__max": "1 1"}}, None),
        ("0::/\n", {"": {"cpu__max": "what is this"}}, None),
        ("0::/\n", {}, None),
        (None, {}, None),
    ],
)
def test_the_quota_of_a_container(own, groups, quota, tmp_path):
    for name, files in groups.items():
        group(tmp_path / "groups" / name, **files)
    if own is not None:
        (tmp_path / "own").write_text(own)
    assert cpu_quota(tmp_path / "groups", tmp_path / "own") == quota


def test_the_machine_names_its_quota(monkeypatch):
    monkeypatch.setattr("ssdsim.system.processor.cpu_quota", lambda: 1.5)
    assert processor()["cpu_quota"] == 1.5


@pytest.mark.parametrize(
    ("quota", "cores", "said"), [(1.0, (0, 1), True), (2.0, (0, 1), False), (0.5, (0,), True)]
)
def test_more_cores_than_a_quota_lets_one_use_are_named(quota, cores, said, monkeypatch):
    monkeypatch.setattr(places, "cpu_quota", lambda: quota)
    line = f"this container's CPU quota is {quota:g} cores, models are on {len(cores)}: "
    assert [one.startswith(line) for one in places.cautions(cores)] == [True] * said
