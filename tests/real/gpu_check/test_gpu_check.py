"""The check of a GPU machine: what it measures, and what it says of it."""

import json
import tarfile
from dataclasses import astuple, replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from shapes import DRAFT, TARGET
from test_part_runner import python

from ssdreal.bench.transformers_peer import Peer, _how
from ssdreal.executor.pair import Pair
from ssdreal.gpu_check import program as gpu_check
from ssdreal.gpu_check import transformers_peer as peer_program
from ssdreal.gpu_check.ceilings import ceilings
from ssdreal.gpu_check.packing import PACKED
from ssdreal.gpu_check.parts import Wanted
from ssdreal.gpu_check.subjects import Subject
from ssdreal.gpu_check.timetable import Call
from ssdreal.gpu_check.transformers_peer import WAYS, peers

HOST = Wanted(
    Path("out"),
    topology="cpu",
    scripted=(Subject("shapes", (TARGET, DRAFT), "iid", lookahead=2),),
    real=Subject("tiny"),
    split=None,
    prompts=2,
    tokens=16,
    dtype="float32",
    quick=True,
)


def test_ceilings_are_rates_of_the_device():
    first, found = (dict(one) for one in ceilings("cpu", copied=1 << 24, side=128))
    assert found["name"] == "cpu"
    assert "product_flop_per_s" not in first  # the copy is known before
    assert 1e8 < found["copy_bytes_per_s"] < 1e13
    assert 1e6 < found["product_flop_per_s"] < 1e14


def check_of(monkeypatch, tmp_path, *parts):
    """Return the exit code of a check that consists of these parts, and what it printed."""
    console = Console(width=100, record=True, file=StringIO())
    monkeypatch.setattr(gpu_check, "calls", lambda _: [Call("first", 60, parts)])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    question, _ = gpu_check.asked(["--out", str(tmp_path)])
    code = gpu_check.check(question, console)
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


def test_transformers_decodes_the_same_pair_in_every_way():
    found = dict(peers(Pair("tiny_target", "tiny_draft"), "float32", "cpu", [[1, 2, 3]], 6))
    assert list(found) == list(WAYS) == ["eager", "static", "assisted_2", "assisted_4"]
    assert all(speed > 0 for speed in found.values())


def test_transformers_compiles_no_cache_and_keeps_what_it_measured(monkeypatch, tmp_path):
    """On a GPU it would, by itself, anew for every length; and a way may fail."""
    asked, pair = [], Pair("tiny_target", "tiny_draft")

    def measured(*_):
        yield "eager", 12.5
        raise RuntimeError("the second way fails")

    assert _how(Peer(*astuple(pair)[:2], "float32", static=True))["disable_compile"] is True
    monkeypatch.setattr(peer_program, "peers", measured)
    monkeypatch.setattr(peer_program, "tokenized", lambda *_: asked)
    with pytest.raises(RuntimeError, match="second way"):
        peer_program.main("tiny", "float32", "cpu", str(tmp_path / "peer.json"))
    kept = json.loads((tmp_path / "peer.json").read_text())
    assert kept["eager"]["tokens_per_s"] == 12.5
    assert "one by one" in kept["eager"]["what"]


@pytest.mark.slow
def test_a_whole_check_on_the_host(tmp_path):
    """Every part as a process of its own, on pairs of no size."""
    console = Console(width=200, file=StringIO(), record=True)
    question = gpu_check.CheckOptions(replace(HOST, folder=tmp_path), minutes=30, cores=16)
    assert gpu_check.check(question, console) == 0, console.export_text()
    verdict = json.loads((tmp_path / "verdict.json").read_text())
    assert verdict["ceilings"]["copy_bytes_per_s"] > 0
    found = {one["run"]: one for one in verdict["runs"]}
    methods = ["autoregressive", "speculative", "ssd"]
    runs = {f"{pair}/{method}" for pair in ("shapes", "tiny") for method in methods}
    assert {*found} == runs | {"tiny_fused/ssd", "tiny_two_phase/two_phase"}
    for name, one in found.items():
        assert name.endswith(one["method"])
        assert one["tokens_per_s"] > 0
        assert 0 < one["idle"] < 1
        assert (one["prediction_error"] is None) is name.startswith("tiny")
        assert (one["bound_share"] is None) is (one["method"] != "autoregressive")
    assert found["tiny/ssd"]["token_mismatches"] == found["tiny_fused/ssd"]["token_mismatches"] == 0
    assert [pair["graph_over_eager"] for pair in verdict["pairs"]] == 2 * [
        {"autoregressive": None, "ssd": None}
    ]
    assert all(pair["ssd_over_sd_or_ar_on_the_same_devices"] > 0 for pair in verdict["pairs"])
    smoke = json.loads((tmp_path / "smoke.json").read_text())
    assert {step["ended"] for step in smoke.values()} == {"well", "needs a GPU"}
    with tarfile.open(tmp_path / PACKED) as archive:
        names = set(archive.getnames())
        assert sum(one.size for one in archive) < 4_000_000
    assert {"gpu_shapes/profile.yaml", "shapes/ssd/run.json", "trace/target.json.gz"} <= names
    again = gpu_check.CheckOptions(question.wanted, minutes=30)
    assert gpu_check.check(again, console) == 0  # nothing is done again
    assert json.loads((tmp_path / "verdict.json").read_text()) == verdict
