"""Profiles of pairs without weights."""

import json
from dataclasses import replace
from functools import partial

import pytest
from commands import run
from real_commands import Inline, at_work
from shapes import DRAFT, TARGET

from ssdreal.executor.pair import Pair, read_pair
from ssdreal.executor.sitting import Sitting
from ssdreal.profile import program as profile
from ssdreal.profile.scripted_pair import random_tasks, scripted_source_of
from ssdreal.profile.split import Split, read_split
from ssdreal.validate import program as validate
from ssdsim import load_run
from ssdsim.acceptance.iid import Iid
from ssdsim.calibration.prediction import Profile
from ssdsim.calibration.profile_file import TIMINGS
from ssdsim.sampling.settings import Decoding


def test_a_pair_without_weights_needs_room(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("ssdreal.executor.preflight._free_memory", lambda: 3 << 30)
    with pytest.raises(SystemExit):
        profile.main(["--pair", "llama31_8b_1b", "--topology", "cpu", "--out", str(tmp_path)])
    assert "MB of memory, 3072 MB are free" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_where_logs_know_nothing_of_a_temperature_anything_may_be_accepted():
    script = scripted_source_of("llama31_8b_1b", read_pair("llama31_8b_1b"), None)
    assert script.name == "h100x4_llama70b_1b"
    for coupling in ("maximal", "gumbel"):
        assert script.at(Decoding(0.7, coupling)) == script.at(Decoding()) == script.source
        assert script.at(Decoding(1.0, coupling)) == Iid()


def test_random_prompts_fit_the_models():
    pair = Pair(TARGET, DRAFT)
    for room, lengths in ((100, (100, 100)), (300, (128, 300)), (9000, (128, 2048))):
        short, long = random_tasks(pair, room)
        assert {len(task.tokens) for task in short} == {lengths[0]}
        assert {len(task.tokens) for task in long} == {lengths[1]}
        assert len({tuple(task.tokens) for task in short}) == len(short)
        assert max(max(task.tokens) for task in long) < 96


@pytest.mark.slow
def test_a_scripted_pair_s_profile_simulates_it(tmp_path, monkeypatch, capsys):
    """Its passes are real; what is accepted is what the source named says, here as there."""
    small = replace(read_split().fit, lookaheads=(1, 2), branches=(1, 4, 8), batch=2)
    monkeypatch.setattr("ssdreal.profile.options.read_split", lambda: Split(small, {}))
    monkeypatch.setattr(profile, "Sitting", partial(Sitting, hire=Inline))
    asked = [
        "--pair",
        TARGET,
        DRAFT,
        "--acceptance",
        "iid",
        "--dtype",
        "float32",
        "--name",
        "shapes",
    ]
    counts = ["--name", "shapes", "--repeats", "1", "--tokens", "12", "--visit-tokens", "12"]
    with at_work(Inline):
        profile.main([*asked, *counts, "--out", str(tmp_path)])
    capsys.readouterr()
    folder = tmp_path / "shapes"
    assert {file.name for file in folder.iterdir()} == {"profile.yaml", "run.json", TIMINGS}
    assert json.loads((folder / "run.json").read_text())["acceptance"] == "iid"
    found = Profile(folder)
    assert {piece.coupling for piece in found.calibration.pieces} == {"greedy", "maximal", "gumbel"}
    assert found.machine.target.seconds("verify", 1, 3, 140) > 0

    monkeypatch.setattr(validate, "TRACES", tmp_path)
    with pytest.raises(SystemExit):
        validate.main(["--profile", "shapes"])
    assert "--profile='shapes': needs a pair with weights" in capsys.readouterr().err

    monkeypatch.setattr("ssdsim.options.plugins.TRACES", tmp_path)
    out = tmp_path / "run"
    assert run("profile=shapes", "lookahead=2", "acceptance.alpha=1", f"out={out}") == 0
    simulated = load_run(out)
    assert simulated.metrics["acceptance_length"] == 3.0
    assert set(simulated.sequences.prompt_tokens) == {128}
    assert len(simulated.sequences) == 8
