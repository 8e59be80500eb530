"""What a GPU is asked first: each thing on its own, and every compiled function."""

import json

import pytest
import torch

from ssdreal.gpu_check import fused_functions, smoke
from ssdreal.gpu_check.fused_functions import Compared, compared
from ssdreal.gpu_check.parts import FUSED

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
