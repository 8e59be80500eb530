"""The check of a GPU machine: parts that are run once, stopped in time, and come back in a file."""

import inspect
import json
import sys
import tarfile
from dataclasses import replace
from importlib import import_module
from io import StringIO
from itertools import product
from pathlib import Path

import pytest
from hydra import compose, initialize
from hydra.core.override_parser.overrides_parser import OverridesParser
from patience import cpu_seconds, wait_until
from rich.console import Console
from shapes import DRAFT, TARGET

from ssdreal.command.config import register, request_from
from ssdreal.executor.pair import Pair
from ssdreal.executor.preflight import check_pair, check_room
from ssdreal.gpu_check import program as gpu_check
from ssdreal.gpu_check.ceilings import ceilings
from ssdreal.gpu_check.part_runner import PACKED, STATE, TOO_LATE, Done, Part, PartRunner
from ssdreal.gpu_check.parts import TESTS, Subject, Wanted, parts
from ssdreal.gpu_check.transformers_peer import peers
from ssdreal.places.topology import OneGpu
from ssdreal.profile.options import profile_options
from ssdsim.errors import ConfigError


def python(name, code, seconds=20.0):
    return Part(name, [sys.executable, "-c", code], seconds)


def ended(part_runner, parts):
    return {part.name: done and done.code for part, done in part_runner.run(parts)}


def test_a_part_that_ended_well_is_not_run_again(tmp_path):
    count = tmp_path / "count"
    part = python("once", f"open({str(count)!r}, 'a').write('x')")
    for _ in range(2):
        assert ended(PartRunner(tmp_path / "out", 60), [part]) == {"once": 0}
    assert count.read_text() == "x"


def test_a_part_that_failed_is_run_again_and_others_go_on(tmp_path):
    flag = tmp_path / "flag"
    failing = python(
        "failing", f"import pathlib, sys; sys.exit(not pathlib.Path({str(flag)!r}).exists())"
    )
    parts = [failing, python("other", "print('said')")]
    assert ended(PartRunner(tmp_path, 60), parts) == {"failing": 1, "other": 0}
    assert (tmp_path / "other.log").read_text() == "said\n"
    flag.touch()
    assert ended(PartRunner(tmp_path, 60), parts) == {"failing": 0, "other": 0}


def test_what_does_not_fit_into_the_time_is_left(tmp_path):
    parts = [python("short", ""), python("long", "", seconds=1000)]
    assert ended(PartRunner(tmp_path, 60), parts) == {"short": 0, "long": None}
    assert "long" not in json.loads((tmp_path / STATE).read_text())


def test_the_tests_that_it_runs_are_there():
    assert Path(TESTS).is_file()


def test_a_part_that_hangs_is_stopped_with_all_it_started(tmp_path):
    pid = tmp_path / "pid"
    hanging = (
        "import subprocess, sys, time;"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
        f"open({str(pid)!r}, 'w').write(str(child.pid)); time.sleep(600)"
    )
    for seconds in (0.5, 4, 32):  # it must have come as far as to hang
        ((_, done),) = PartRunner(tmp_path, 60).run([python("hanging", hanging, seconds)])
        assert done.code == TOO_LATE
        if pid.exists() and pid.read_text():
            break
    wait_until(lambda: cpu_seconds(int(pid.read_text())) == float("inf"))


def test_an_interruption_loses_nothing(tmp_path):
    part_runner = PartRunner(tmp_path, 60)
    parts = part_runner.run([python("first", ""), python("second", "")])
    next(parts)
    parts.close()
    assert PartRunner(tmp_path, 60).done == {"first": Done(0, part_runner.done["first"].seconds)}


def test_everything_comes_back_in_one_file(tmp_path):
    part_runner = PartRunner(tmp_path, 60)
    list(part_runner.run([python("said", "print('said')")]))
    for _ in range(2):  # a second archive does not hold the first
        with tarfile.open(part_runner.pack()) as archive:
            assert sorted(archive.getnames()) == [STATE, "said.log"]


def test_what_is_drawn_from_the_rest_stays_behind(tmp_path):
    (tmp_path / "run").mkdir()
    for name in ("run.json", "spans.parquet", "timeline.json", "timeline.png"):
        (tmp_path / "run" / name).touch()
    with tarfile.open(PartRunner(tmp_path, 60).pack()) as archive:
        assert sorted(archive.getnames()) == ["run", "run/run.json", "run/spans.parquet"]


def test_ceilings_are_rates_of_the_device():
    found = ceilings("cpu", copied=1 << 24, side=128)
    assert found["name"] == "cpu"
    assert 1e8 < found["copy_bytes_per_s"] < 1e13
    assert 1e6 < found["product_flop_per_s"] < 1e14


def check_of(monkeypatch, tmp_path, *parts):
    """Return the exit code of a check that consists of these parts, and what it printed."""
    console = Console(width=100, record=True, file=StringIO())
    monkeypatch.setattr(gpu_check, "parts", lambda _: list(parts))
    code = gpu_check.check(gpu_check.asked(["--out", str(tmp_path)]), console)
    return code, console.export_text()


def test_it_says_how_every_part_ended(monkeypatch, tmp_path):
    parts = [
        python("fine", ""),
        python("wrong", "print('the reason'); raise SystemExit(3)"),
        python("late", "", seconds=10_000),
    ]
    wrong, page = check_of(monkeypatch, tmp_path, *parts)
    assert wrong == 1
    assert "fine: done in" in page
    assert "wrong: ended with code 3\n  the reason" in page
    assert "late: no time left" in page
    assert (tmp_path / PACKED).is_file()


def test_parts_are_named(tmp_path):
    asked = gpu_check.asked(["--out", str(tmp_path), "--parts", "peer", "ceilings"])
    assert [part.name for part in asked.parts] == ["ceilings", "peer"]
    with pytest.raises(ConfigError, match=r"--parts='nonsense'.*must be among ceilings"):
        _ = gpu_check.asked(["--out", str(tmp_path), "--parts", "nonsense"]).parts
    with pytest.raises(ConfigError, match="--minutes=0"):
        gpu_check.asked(["--out", str(tmp_path), "--minutes", "0"])


def test_all_parts_have_names_of_their_own_and_fit_into_three_calls():
    found = parts(Wanted(Path("out")))
    names = [part.name for part in found]
    assert len(set(names)) == len(names)
    assert sum(part.seconds for part in found) < 3 * 540


def jobs(words):
    """Return the overrides of every job of a sweep, as Hydra's sweeper makes them of words."""
    parsed = OverridesParser.create().parse_overrides(words)
    choices = [
        [
            f"{one.get_key_element()}={value}"
            for value in (
                one.sweep_string_iterator() if one.is_sweep_override() else [one.get_value_string()]
            )
        ]
        for one in parsed
    ]
    return list(product(*choices))


def request(words):
    """Return what a command line of `python -m ssdreal` asks for, checked as far as it is there."""
    with initialize(version_base="1.3", config_path=None):
        config = compose("real", list(words))
    found = request_from(config, [word.partition("=")[0] for word in words])
    check_room(found, check_pair(found.pair, found.dtype))
    return found


HOST = Wanted(
    Path("out"),
    topology="cpu",
    scripted=(Subject("shapes", (TARGET, DRAFT), "iid", lookahead=2),),
    real=Subject("tiny"),
    splits=(),
    prompts=2,
    tokens=16,
    dtype="float32",
    quick=True,
)


@pytest.mark.parametrize(
    ("wanted", "decoding"), [(Wanted(Path("out")), 13), (HOST, 6)], ids=["gpu", "host"]
)
def test_every_part_asks_for_what_there_is(wanted, decoding, monkeypatch):
    """No part can fail on a GPU machine by a word that its command does not know."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0" if wanted.topology == "one_gpu" else "")
    register()
    asked = []
    for part in parts(wanted):
        python, m, module, *words = part.command
        assert (python, m) == (sys.executable, "-m")
        if module == "ssdreal":
            assert words.pop(0) == "--multirun"
            asked += [request(job) for job in jobs(words)]
        elif module == "ssdreal.profile":
            for order in profile_options(words):
                assert order.where()
                assert order.folder == wanted.folder / part.name
                assert order.script is not None
        elif module == "pytest":
            assert Path(words[-1]).is_file()
        else:
            inspect.signature(import_module(module).main).bind(*words)
    assert len(asked) == decoding
    splits = [one.topology.split for one in asked if isinstance(one.topology, OneGpu)]
    assert {*splits} == ({None, *wanted.splits} if splits else set())


def test_transformers_decodes_the_same_pair_in_every_way():
    found = peers(Pair("tiny_target", "tiny_draft"), "float32", "cpu", [[1, 2, 3]], 6)
    assert list(found) == ["eager", "static", "assisted_2", "assisted_4"]
    assert all(speed > 0 for speed in found.values())


@pytest.mark.slow
def test_a_whole_check_on_the_host(tmp_path):
    """Every part as a process of its own, on pairs of no size."""
    console = Console(width=200, file=StringIO(), record=True)
    question = gpu_check.CheckOptions(replace(HOST, folder=tmp_path))
    assert gpu_check.check(question, console) == 0, console.export_text()
    verdict = json.loads((tmp_path / "verdict.json").read_text())
    assert verdict["ceilings"]["copy_bytes_per_s"] > 0
    found = {one["run"]: one for one in verdict["runs"]}
    assert [one["method"] for one in found.values()] == 2 * ["autoregressive", "speculative", "ssd"]
    for name, one in found.items():
        assert one["tokens_per_s"] > 0
        assert 0 < one["idle"] < 1
        assert (one["prediction_error"] is None) is name.startswith("tiny")
        assert (one["bound_share"] is None) is (one["method"] != "autoregressive")
    assert found["tiny_graph/1"]["token_mismatches"] == 0
    assert [pair["graph_over_eager"] for pair in verdict["pairs"]] == 2 * [
        {"autoregressive": None, "ssd": None}
    ]
    assert all(pair["ssd_over_sd_or_ar_on_the_same_devices"] > 0 for pair in verdict["pairs"])
    with tarfile.open(tmp_path / PACKED) as archive:
        names = set(archive.getnames())
        assert sum(one.size for one in archive) < 1_000_000
    assert {"verdict.json", "gpu_shapes/profile.yaml", "shapes_graph/1/run.json"} <= names
    assert gpu_check.check(question, console) == 0  # nothing is done again
    assert json.loads((tmp_path / "verdict.json").read_text()) == verdict
