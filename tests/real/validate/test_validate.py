"""`python -m ssdreal.validate`: its input, and a profile of the tiny pair, validated."""

import json

import pytest
from killed import killed_after

from ssdreal.profile import program as profile
from ssdreal.validate import program as validate
from ssdsim import load_run
from ssdsim.acceptance.trace_file import read_trace
from ssdsim.calibration.prediction import Profile


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--repeats", "0"], "--repeats=0"),
        (["--tokens", "-1"], "--tokens=-1"),
        (["--tokens", "0", "--quick"], "--tokens=0"),
        (["--tokens", "99999999"], "--tokens=99999999"),
        (["--profile", "nowhere"], "--profile=nowhere"),
        (["--profile", "../x"], "--profile='../x': needs the name of a folder in traces/"),
        (["--profile", ""], "--profile=''"),
        (["--profile", ".."], "--profile='..'"),
        (["--profile", "odd"], "--profile=odd: needs a folder of traces/"),
        (["--split", "nowhere"], "--split=nowhere: cannot be read (No such file"),
        (["--split", "/"], "--split=/: is a directory"),
    ],
)
def test_validations_that_cannot_be_are_refused(
    arguments, complaint, capsys, monkeypatch, tmp_path
):
    monkeypatch.setattr(validate, "TRACES", tmp_path)
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "run.json").write_text('["list"]')
    with pytest.raises(SystemExit) as ended:
        validate.main(arguments)
    assert ended.value.code == 2
    line = capsys.readouterr().err
    assert complaint in line
    assert line.count("\n") == 1


@pytest.mark.slow
def test_a_profile_of_the_tiny_pair_predicts_it(tmp_path, monkeypatch, capsys):
    """Both commands are killed on the way, and go on."""
    monkeypatch.setattr(validate, "TRACES", tmp_path)
    asked = ["--pair", "tiny", "--dtype", "float32", "--quick", "--name", "tiny"]
    asked, folder = [*asked, "--out", str(tmp_path)], tmp_path / "tiny"
    kept = killed_after(3, folder / "kept" / "journal.json", "profile", *asked)
    before = [(folder / "kept" / name).read_bytes() for name in kept]
    assert min(map(len, before)) > 0
    profile.main([*asked, "--resume"])
    assert not (folder / "kept").exists()
    assert "profile=tiny" in capsys.readouterr().out
    trace = read_trace(folder)
    assert len(trace.prompts) == 4
    assert set(trace.columns["temperature"].tolist()) == {0.0, 1.0}
    assert trace.grid
    found = Profile(folder)
    assert found.machine.padding == 64
    assert found.machine.target.seconds("verify", 1, 2, 200) > 0
    assert {piece.coupling for piece in found.calibration.pieces} == {"greedy", "maximal", "gumbel"}

    out = tmp_path / "look"
    mine = tmp_path / "mine.txt"
    mine.write_text("Which prompts are these?\nThey are the user's own.\n")
    asked = ["--profile", "tiny", "--quick", "--out", str(out), "--prompts", str(mine)]
    traces = f"from pathlib import Path; program.TRACES = Path({str(tmp_path)!r})"
    journal = out / "runs" / "held_out.json"
    kept = killed_after(3, journal, "validate", *asked, prelude=traces)
    assert kept[0] == "anchors/0"
    kept = kept[1:]
    ids = {name: load_run(out / "runs" / name).info["run_id"] for name in kept}
    validate.main([*asked, "--resume"])
    assert {name: load_run(out / "runs" / name).info["run_id"] for name in kept} == ids
    shown = capsys.readouterr().out
    for part in ("fit/ar", "new_kind/sd_k1", "median error", "scheduling", "replayed"):
        assert part in shown
    assert not (folder / "held_out.json").exists()
    content = json.loads((out / "held_out.json").read_text())
    assert content["complete"]
    assert set(content["verdicts"]) == {"tokens/s", "× AR", "× SD", "tokens/s for any hour"}
    for one in content["configurations"]:
        assert not one["missing"]
        assert all(tokens_per_s > 0 for tokens_per_s in one["causes"].values())
        run = load_run(out / "runs" / one["part"] / one["name"])
        assert run.info["complete"]
        own = set(run.sequences.prompt) == {"line 1", "line 2"}
        assert own == (one["part"] != "fit")
        if one["replay"]:  # float32: no near ties, so the rounds are the very same
            assert one["replay"]["rounds"] > 0
            assert one["replay"]["differences"] == []
