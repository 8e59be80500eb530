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
from time import sleep
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest
from hydra import compose, initialize
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from planted import calibration_pieces, planted
from rich.console import Console
from shapes import DRAFT, TARGET
from timelines import autoregressive, played, run_of, span

from ssdreal import gpu_check
from ssdreal.checks import check_pair, check_room
from ssdreal.config import Pair, register, request_from
from ssdreal.gpu_checking.ceilings import ceilings
from ssdreal.gpu_checking.course import PACKED, STATE, TOO_LATE, Course, Done, Part
from ssdreal.gpu_checking.forecast import predicted
from ssdreal.gpu_checking.parts import Subject, Wanted, parts
from ssdreal.gpu_checking.peer import peers
from ssdreal.gpu_checking.verdict import Compared, Judged, compared, judged
from ssdreal.models.configs import parameters_of, read_config
from ssdreal.profiling.order import orders
from ssdreal.topology import OneGpu
from ssdreal.twin import twin
from ssdsim import simulate
from ssdsim.calibration.fit import Calibration
from ssdsim.calibration.profile_file import TIMINGS, write_profile
from ssdsim.calibration.timings import to_table
from ssdsim.errors import ConfigError
from ssdsim.metrics import measure
from ssdsim.trace import SCHEMA, Recorder


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


def test_what_is_drawn_from_the_rest_stays_behind(tmp_path):
    (tmp_path / "run").mkdir()
    for name in ("run.json", "spans.parquet", "timeline.json", "timeline.png"):
        (tmp_path / "run" / name).touch()
    with tarfile.open(Course(tmp_path, 60).pack()) as archive:
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
            for order in orders(words):
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


def test_runs_are_held_against_the_memory_s_bound(tmp_path):
    run = saved(autoregressive(64), tmp_path / "runs" / "0", method="autoregressive")
    _, products = parameters_of(read_config("tiny_target"))
    rate = 2 * products * run.metrics["tokens_per_s"] / 0.6  # bytes/s that allow for more
    (tmp_path / "ceilings.json").write_text(json.dumps({"copy_bytes_per_s": rate}))
    (found,) = judged(tmp_path)
    assert found.name == "runs/0"
    assert found.bound == pytest.approx(0.6)
    assert found.idle == pytest.approx(0.0, abs=1e-9)
    assert list(found.failings) == ["60% of the memory's bound, under 70%"]


def test_what_lies_between_passes_is_told(tmp_path):
    rounds = [played(float(at), at + 1.0, 1) for at in range(5)]
    spans = [span("target", "verify", float(at), at + 0.9, tokens=2, used=2) for at in range(5)]
    saved(run_of(Recorder(rounds=rounds, spans=spans)), tmp_path, method="ssd")
    (found,) = judged(tmp_path)
    assert found.bound is None
    assert found.idle == pytest.approx(0.1)
    assert list(found.failings) == ["10.0% of the time outside passes, over 5%"]


def test_a_run_that_was_cut_short_is_not_judged(tmp_path):
    saved(autoregressive(8), tmp_path, complete=False)
    assert judged(tmp_path) == []


def saved(run, folder, **info):
    """Save a run as a check makes them."""
    models = {"target": "tiny_target", "draft": "tiny_draft"}
    config = {"pair": models, "dtype": "bfloat16", "batch": 1, "split": None, "passes": "graph"}
    config |= info.pop("config", {})
    run.info |= {"schema": SCHEMA, "source": "real", "complete": True, "config": config} | info
    run.info["metrics"] = measure(run.tables, [])
    run.save_small(folder)
    return run


def test_transformers_decodes_the_same_pair_in_every_way():
    found = peers(Pair("tiny_target", "tiny_draft"), "float32", "cpu", [[1, 2, 3]], 6)
    assert list(found) == ["eager", "static", "assisted_2", "assisted_4"]
    assert all(speed > 0 for speed in found.values())


def scripted(*words, factor=1.0):
    """Return a simulated run like one of the check, on a machine so many times slower."""
    models = (f"pair.target={TARGET}", f"pair.draft={DRAFT}", "acceptance=iid", "topology=cpu")
    sizes = ("workload.prompts=4", "workload.output_tokens=64", "dtype=float32")
    with initialize(version_base="1.3", config_path=None):
        config = compose("real", [*models, *sizes, *words])
    setup = request_from(config, []).setup
    machine = planted(target_factor=factor, draft_factor=factor)
    run = simulate(twin(setup, setup.acceptance, machine))
    run.info["source"] = "scripted"
    run.info["config"] = {**OmegaConf.to_container(config, resolve=True), "choices": {}}
    return run


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Return a folder with a profile of a known machine, as a check's would be."""
    register()
    folder = tmp_path_factory.mktemp("check")
    (folder / "gpu_shapes").mkdir()
    pieces = calibration_pieces(lambda _: planted(), repeats=1)
    pq.write_table(to_table(pieces), folder / "gpu_shapes" / TIMINGS)
    write_profile(folder / "gpu_shapes", Calibration(pieces, 0), {}, [])
    info = {"models": [TARGET, DRAFT], "split": None, "dtype": "float32", "padding": 0}
    (folder / "gpu_shapes" / "run.json").write_text(json.dumps(info))
    return folder


@pytest.mark.parametrize("words", [(), ("lookahead=4", "policy.budget=8"), ("method=pearl",)])
def test_scripted_runs_are_held_against_their_simulation(words, measured):
    for factor in (1.0, 1.25):
        run = scripted(*words, factor=factor)
        found = Judged("x", run, None, predicted(run, measured))
        assert found.error == pytest.approx(factor - 1, abs=0.03)


def test_only_what_a_profile_is_about_is_predicted(measured):
    run = scripted()
    assert predicted(run, measured) is not None
    for change in ({"split": 0.6}, {"passes": "eager"}, {"dtype": "bfloat16"}):
        other = replace(run, info={**run.info, "config": {**run.info["config"], **change}})
        assert predicted(other, measured) is None
    assert predicted(replace(run, info={**run.info, "source": "real"}), measured) is None


def said(method, speed, split=None, passes="graph", **baselines):
    """Return a judged run of which no more is known than a few numbers."""
    pair = {"target": "t", "draft": "d"}
    info = {
        "method": method,
        "source": "scripted",
        "config": {"pair": pair, "split": split, "passes": passes},
        "baselines": {name: {"tokens_per_s": value} for name, value in baselines.items()},
    }
    run = SimpleNamespace(info=info, metrics={"tokens_per_s": speed, "idle": 0.02})
    return Judged(method, run, None)


def test_pairs_are_compared_on_equal_terms():
    runs = [
        said("autoregressive", 100.0, ar=96.0),
        said("autoregressive", 20.0, passes="eager", ar=25.0),
        said("ssd", 150.0, ar=104.0, sd=140.0, same_devices=141.0),
        said("ssd", 180.0, split=0.75, ar=80.0, sd=120.0, same_devices=144.0),
        said("ssd", 170.0, split=0.9, ar=90.0, sd=130.0, same_devices=143.0),
        said("ssd", 50.0, passes="eager", ar=22.0),
    ]
    (found,) = compared(runs)
    assert found.ssd_over_others == pytest.approx(180 / 144)
    assert found.split == 0.75
    assert found.graph_over_eager == {"autoregressive": 104 / 25, "ssd": 3.0}
    (alone,) = compared(runs[:1])
    assert alone == Compared(("t", "d"), None, None, {"autoregressive": None, "ssd": None})


@pytest.mark.slow
def test_a_whole_check_on_the_host(tmp_path):
    """Every part as a process of its own, on pairs of no size."""
    console = Console(width=200, file=StringIO(), record=True)
    question = gpu_check.Asked(replace(HOST, folder=tmp_path))
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
