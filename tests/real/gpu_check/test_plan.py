"""The plan of a check: what is asked of a GPU machine, in which order, and what it should take."""

import inspect
import sys
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from io import StringIO
from pathlib import Path

import pytest
import torch
from device_models import both
from hydra import compose, initialize
from rich.console import Console
from static_servers import DIRECT
from test_part_runner import dry_runs
from torch.utils._pytree import tree_leaves

from ssdreal.command.config import register, request_from
from ssdreal.executor.execution import Execution
from ssdreal.executor.preflight import check_pair, check_room
from ssdreal.executor.workload import Task
from ssdreal.gpu_check import fused_functions
from ssdreal.gpu_check import program as gpu_check
from ssdreal.gpu_check.compiles import decoding_runs, shapes
from ssdreal.gpu_check.decoding import options
from ssdreal.gpu_check.in_process import InProcess
from ssdreal.gpu_check.parts import FUSED, TESTS, UNFUSED, Wanted, calls
from ssdreal.gpu_check.plan import plan
from ssdreal.gpu_check.subjects import TINY
from ssdreal.gpu_check.timetable import Timetable
from ssdreal.models.device_layers import PLAIN, Kernels
from ssdreal.places.places import Place, Places
from ssdreal.places.topology import OneGpu
from ssdreal.profile.options import profile_options
from ssdreal.static import draft_server, target_server
from ssdsim.errors import ConfigError
from ssdsim.workloads.closed import Closed

CORES = 16
"""Of the machine that the plan is for."""

CHECKLIST = ("first", "second", "third")
MOST_COMPILES = 40
"""That the plan of the first fifteen minutes has time for."""

GPU = Wanted(Path("out"))


@pytest.fixture(scope="module")
def planned():
    return calls(GPU)


def names(call):
    return [part.name for part in call.parts]


def test_the_order_is_the_most_informative_first(planned):
    assert [names(call) for call in planned[:3]] == [
        ["smoke", "ceilings", "lossless", "tiny_fused"],
        ["llama31_8b_1b", "trace", "layer_kernels"],
        ["llama31_8b_1b_split75", "llama31_8b_1b_eager", "lossless_split"],
    ]
    assert [call.seconds for call in planned[:3]] == [200, 300, 200]
    every = [name for call in planned for name in names(call)]
    assert len(set(every)) == len(every)


def test_tests_of_what_is_right_compile_nothing(planned):
    for part in (part for call in planned for part in call.parts):
        if part.name.startswith("lossless"):
            assert part.environment == UNFUSED
            assert not part.shapes


def test_everything_fits_even_where_a_part_crashes_or_hangs(planned, tmp_path):
    first_three = {name for call in planned[:3] for name in names(call)}
    assert dry_runs(tmp_path, planned[:3], 20) == first_three


def test_it_prints_what_fits_into_the_minutes(planned):
    console = Console(width=118, record=True, file=StringIO())
    plan(planned, 9, Timetable(CORES), console, done={"ceilings"})
    lines = [line.split() for line in console.export_text().splitlines()]
    rows = {line[0]: line[1:] for line in lines if line}
    assert rows["ceilings"] == ["done"]
    assert rows["smoke"][-1] == "yes"
    assert rows["gpu_llama31_8b_1b"][-1] == "no"
    expected, compiling, new, most, _ = map(_number, rows["llama31_8b_1b"])
    assert 110 < expected < most < 300
    assert expected == pytest.approx(110 + compiling, abs=1)
    assert new > 10
    assert rows["trace"][2] == "0"  # its shapes are in the caches then


def _number(cell):
    return float(cell) if cell[0].isdigit() else None


def test_a_plan_needs_no_folder_and_runs_nothing(planned, monkeypatch, capsys):
    monkeypatch.setattr(gpu_check, "calls", lambda _: planned)
    monkeypatch.setattr(gpu_check, "check", None)
    gpu_check.main(["--plan", "--parts", "first", "peer", "--minutes", "3.3"])
    page = capsys.readouterr().out
    assert "tiny_fused" in page
    assert "peer" in page
    assert "trace" not in page
    assert "in 3.3 min" in page
    assert page.endswith("--parts first\n")
    assert not Path("DIR").exists()
    with pytest.raises(SystemExit) as end:
        gpu_check.main([])
    assert end.value.code == 2
    assert capsys.readouterr().err == "ssdreal.gpu_check: --out=None: needs a folder\n"


def test_parts_and_calls_are_named(tmp_path, planned, monkeypatch):
    monkeypatch.setattr(gpu_check, "calls", lambda _: planned)
    question, _ = gpu_check.asked(["--out", str(tmp_path), "--parts", "second", "ceilings"])
    assert [name for call in question.calls for name in names(call)] == [
        "ceilings",
        "llama31_8b_1b",
        "trace",
        "layer_kernels",
    ]
    question, _ = gpu_check.asked(["--out", str(tmp_path), "--parts", "nonsense"])
    with pytest.raises(ConfigError, match=r"--parts='nonsense'.*must be among first, smoke"):
        _ = question.calls
    for option in ("minutes", "cores"):
        with pytest.raises(ConfigError, match=f"--{option}=0"):
            gpu_check.asked(["--out", str(tmp_path), f"--{option}", "0"])


def request(words):
    """Return what the options of a real run ask for, checked as far as it is there."""
    with initialize(version_base="1.3", config_path=None):
        config = compose("real", list(words))
    found = request_from(config, [word.partition("=")[0] for word in words])
    check_room(found, check_pair(found.pair, found.dtype))
    return found


def _decoding(folder, methods, *words):
    assert Path(folder).is_relative_to("out")
    return [request(options(method, words)) for method in methods.split(",")]


def _trace(_device, _folder, *words):
    return [request(options("speculative", words))]


def _smoke(_device, _file, *words):
    return [request(options("ssd", words))]


ASKED = {"decoding": _decoding, "replay_trace": _trace, "smoke": _smoke}


@pytest.mark.slow
def test_every_part_asks_for_what_there_is(planned, monkeypatch):
    """No part can fail on a GPU machine by a word that its command does not know."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3,4")
    register()
    asked = []
    for part in (part for call in planned for part in call.parts):
        python, m, module, *words = part.command
        assert (python, m) == (sys.executable, "-m")
        if module == "ssdreal.profile":
            for order in profile_options(words):
                assert order.where()
                assert order.folder == GPU.folder / part.name
                assert order.script is not None
        elif module == "pytest":
            assert Path(words[-1]).exists()
        else:
            inspect.signature(import_module(module).main).bind(*words)
            asked += ASKED.get(module.rpartition(".")[2], lambda *_: [])(*words)
    assert len(asked) == 15 + 25
    one = [found.topology for found in asked if isinstance(found.topology, OneGpu)]
    assert {topology.split for topology in one} == {None, GPU.split}


def test_what_needs_several_gpus_is_asked_for_by_name(planned, tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_check, "calls", lambda _: planned)
    question, _ = gpu_check.asked(["--out", str(tmp_path)])
    assert not question.calls[-1].parts
    question, _ = gpu_check.asked(["--out", str(tmp_path), "--parts", "many"])
    assert [name for call in question.calls for name in names(call)] == [
        "tiny_apart",
        "tiny_tp2",
        "tiny_tp2_gumbel",
        "tiny_tp2_maximal",
        "tiny_tp2_eager",
        "ranks",
        "llama31_8b_1b_apart",
        "llama31_8b_1b_tp2",
        "llama31_70b_1b_tp4",
        "gpu_llama31_8b_1b_apart",
    ]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with pytest.raises(ConfigError, match=r"--parts=many: .*needs 2 GPU, there are 1"):
        gpu_check.check(question, Console(file=StringIO()))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(ConfigError, match=r"--parts=all: .*needs 1 GPU, there are 0; --plan"):
        gpu_check.check(replace(question, only=()), Console(file=StringIO()))
    assert not any(tmp_path.iterdir())


def test_the_tests_that_it_runs_are_there():
    assert Path(TESTS).is_file()


# What a run compiles, counted while servers for a GPU get ready


class Recorded:
    """Notes for which shapes functions are called that would be compiled."""

    def __init__(self, monkeypatch):
        self.found = set()
        for module in (draft_server, target_server):  # no time is taken here
            monkeypatch.setattr(module, "median_seconds", lambda _: 1e-3)
        monkeypatch.setattr(fused_functions, "Compared", lambda function, *_: self.of(function))

    def of(self, function, model=""):
        def call(*arguments):
            leaves = [leaf for leaf in tree_leaves(arguments) if isinstance(leaf, torch.Tensor)]
            shapes = tuple((leaf.dtype, *leaf.shape) for leaf in leaves)
            self.found.add((function.__name__, model, shapes))
            return function(*arguments)

        call.__name__ = function.__name__
        return call

    def model(self, name):
        model = both(name)[1]
        model.kernels = Kernels(*(self.of(part, name) for part in PLAIN))
        return model

    @contextmanager
    def begun(self, run):
        """Have servers ready for a run, on models of no size."""
        here = Places(Place("cpu", ()), Place("cpu", ()))
        task = Task("0", "ids", [1] * run.longest)
        models = self.model("tiny_target"), self.model("tiny_draft")
        with fused_functions.compared():
            servers = [kind(model) for kind, model in zip(DIRECT, models, strict=True)]
            running = Execution(run.setup, lambda: InProcess(*servers), here, [task])
            with running.ready() as session:
                yield running, session
        for model in models:
            model.kernels = PLAIN


def kinds(found):
    return Counter(name for name, *_ in found)


@pytest.fixture(scope="module")
def runs():
    """Return the runs of the checklist that compile: a pair of true size, and one of none."""
    register()
    options = ("lookahead=4", "workload.prompts=4", "workload.output_tokens=64")
    methods, large = ("autoregressive", "speculative", "ssd"), ("pair=llama31_8b_1b", *options)
    found = dict(zip(methods, decoding_runs(methods, large), strict=True))
    tiny = (*TINY.overrides, *TINY.drafting, "dtype=float32", *options[1:])
    return found | {"tiny": decoding_runs(("ssd",), tiny)[0]}


@pytest.fixture(scope="module")
def compiled(runs):
    """Return what servers get ready for each run, as they would compile it."""
    found = {}
    for name, run in runs.items():
        with pytest.MonkeyPatch.context() as patch:
            recorded = Recorded(patch)
            with recorded.begun(run):
                found[name] = recorded.found
    return found


def test_passes_that_are_launched_one_by_one_compile_nothing_in_a_run(runs, monkeypatch):
    """Else the first of them would be timed with their compilation in it."""
    recorded, run = Recorded(monkeypatch), runs["tiny"]
    few = replace(run.setup, workload=Closed(1, output_tokens=8))
    with recorded.begun(run._replace(setup=few)) as (running, session):
        before = set(recorded.found)
        running.env.run(running.env.process(few.method.decode(session)))
        assert recorded.found == before


def test_nothing_is_compiled_that_was_not_planned(runs, compiled):
    for name, run in runs.items():
        assert kinds(compiled[name]) == kinds(shapes([run])), name


def test_the_checklist_compiles_little(compiled):
    """The smoke script compiles what the tiny pair does, and every other function once."""
    shapes = {(name == "tiny", shape) for name, found in compiled.items() for shape in found}
    others = {*FUSED} - {*kinds(compiled["tiny"])}
    assert len(shapes) + len(others) <= MOST_COMPILES
