"""What a GPU is asked first: each thing on its own, and every compiled function."""

import json

import pytest
import torch

from ssdreal.gpu_check import decoding, fused_functions, smoke
from ssdreal.gpu_check.fused_functions import Compared, compared
from ssdreal.gpu_check.parts import FUSED
from ssdsim.errors import RunError

HOST = torch.device("cpu")
TINY = ("pair=tiny", "dtype=float32", "lookahead=1", "policy.budget=2", "workload.prompts=1")
TINY = (*TINY, "workload.output_tokens=6")
OF_MODELS = {"begun", "through", "ended"}
"""Functions that a host's models do without."""


def test_a_step_that_fails_leaves_its_traceback_and_the_others_go_on(tmp_path, capsys):
    def fails(_):
        raise RuntimeError("the reason")

    steps = {"fails": fails, "well": lambda _: {"number": 3}, "gpu": lambda _: smoke.GPU}
    assert not smoke.run(steps, "cpu", tmp_path / "smoke.json")
    found = json.loads((tmp_path / "smoke.json").read_text())
    assert {name: one["ended"] for name, one in found.items()} == {
        "fails": "badly",
        "well": "well",
        "gpu": "needs a GPU",
    }
    assert found["fails"]["found"][-1] == "RuntimeError: the reason"
    assert found["well"]["found"] == {"number": 3}
    assert "in fails" in capsys.readouterr().err


def test_what_is_known_is_written_before_the_next_step(tmp_path):
    file = tmp_path / "smoke.json"

    def hangs(_):
        assert json.loads(file.read_text()) == {"first": {"ended": "well", "found": 1}}
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        smoke.run({"first": lambda _: 1, "second": hangs}, "cpu", file)


def test_a_host_is_asked_what_a_host_can_say(tmp_path):
    assert smoke.run(smoke.steps(TINY), "cpu", tmp_path / "smoke.json")
    found = json.loads((tmp_path / "smoke.json").read_text())
    assert {name for name, one in found.items() if one["ended"] == "needs a GPU"} == {
        "split",
        "graph on a split",
        "fused functions",
    }
    assert found["versions"]["found"]["torch"] == torch.__version__


# Functions that are compiled, beside themselves


def twice(x):
    return 2 * x


def test_a_compiled_function_is_compared_with_what_it_was_made_from(monkeypatch):
    def broken(_):
        raise TypeError("it does not compile")

    for compiled, right in ((twice, True), (lambda x: 3 * x, False), (broken, False)):
        found = {}
        monkeypatch.setattr(fused_functions, "FUSE", lambda *_, made=compiled: made)
        function = Compared(twice, HOST, found)
        for _ in range(2):
            assert torch.equal(function(torch.ones(2)), torch.full((2,), 2.0))
        assert (found["twice"] == "the same") is right
        assert right or found["twice"].startswith("Traceback")


def test_a_tiny_pair_uses_every_function_that_is_compiled():
    with compared() as found:
        for way in smoke.decodings():
            assert smoke.tiny_run("cpu", TINY, way).info["complete"]
    assert found == dict.fromkeys(found, "the same")
    assert {*found} == {*FUSED} - OF_MODELS
    with compared() as nothing:
        pass
    assert nothing == {}


# Several methods in one sitting


def options(*methods):
    words = ("pair=tiny", "lookahead=2", "policy.budget=3", "dtype=float32")
    return [decoding.options(method, words) for method in methods]


def test_a_method_gets_the_options_it_has_use_for():
    alone, series, ahead = options("autoregressive", "speculative", "ssd")
    assert alone == ["method=autoregressive", "pair=tiny", "dtype=float32"]
    assert series == ["method=speculative", "pair=tiny", "lookahead=2", "dtype=float32"]
    assert ahead[3] == "policy.budget=3"


class Run:
    def __init__(self, lost=None):
        self.info, self.metrics = {"draft_lost": lost, "complete": True}, {}


@pytest.fixture
def decoded(monkeypatch):
    """Let methods decode as they are told to; the value is what has been tried."""
    tried, fates = [], {}

    def pretend(_job, _config, folder, method):
        tried.append(method)
        (folder / method).mkdir(exist_ok=True, parents=True)
        (folder / method / "run.json").write_text(json.dumps({"complete": method not in fates}))
        if method in fates:
            raise fates[method]
        return Run()

    def whole(directory):
        file = directory / "run.json"
        return file.is_file() and json.loads(file.read_text())["complete"]

    for name, stand_in in {
        "_decoded": pretend,
        "_is_whole": whole,
        "_job": lambda *_: (None, {}),
        "_report": lambda *_: None,
        "register": lambda: None,
    }.items():
        monkeypatch.setattr(decoding, name, stand_in)
    return tried, fates


@pytest.mark.parametrize("error", [RunError("its draft is lost"), RuntimeError("CUDA error")])
def test_a_method_that_fails_costs_the_others_nothing(decoded, error, tmp_path, capsys):
    tried, fates = decoded
    fates["speculative"] = error
    methods = ["autoregressive", "speculative", "ssd"]
    assert decoding.decode(tmp_path, methods, []) == 1
    assert tried == methods
    assert str(error) in capsys.readouterr().err
    fates.clear()
    assert decoding.decode(tmp_path, methods, []) == 0
    assert tried[3:] == ["speculative"]


def test_what_was_never_tried_comes_before_what_may_hang_again(decoded, tmp_path):
    tried, fates = decoded
    fates["speculative"] = KeyboardInterrupt()  # a part that hangs is ended in its midst
    with pytest.raises(KeyboardInterrupt):
        decoding.decode(tmp_path, ["speculative", "ssd"], [])
    with pytest.raises(KeyboardInterrupt):
        decoding.decode(tmp_path, ["speculative", "ssd"], [])
    assert tried == ["speculative", "ssd", "speculative"]
