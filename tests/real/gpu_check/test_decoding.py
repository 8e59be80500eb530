"""Several methods in one sitting: what fails, or was lost, costs the others nothing."""

import json

import pytest
from timelines import autoregressive

from ssdreal.gpu_check import decoding
from ssdsim.errors import RunError
from ssdsim.run.trace import SCHEMA


def options(*methods):
    words = ("pair=tiny", "lookahead=2", "policy.budget=3", "dtype=float32")
    return [decoding.options(method, words) for method in methods]


def test_a_method_gets_the_options_it_has_use_for():
    alone, series, ahead = options("autoregressive", "speculative", "ssd")
    assert alone == ["method=autoregressive", "pair=tiny", "dtype=float32"]
    assert series == ["method=speculative", "pair=tiny", "lookahead=2", "dtype=float32"]
    assert ahead[3] == "policy.budget=3"


def test_a_run_that_is_cut_short_or_lost_its_draft_is_made_again(tmp_path):
    for name, complete, lost in (("whole", True, None), ("cut", False, None), ("lost", True, "x")):
        run = autoregressive(8)
        run.info |= {"schema": SCHEMA, "complete": complete, "draft_lost": lost}
        run.save_small(tmp_path / name)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.json").write_text("{")
    names = ["broken", "whole", "cut", "lost", "new"]
    assert decoding.in_turn(tmp_path, names) == ["new", "broken", "cut", "lost"]


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
