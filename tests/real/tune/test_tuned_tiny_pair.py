"""`python -m ssdreal.tune` on a profile of the tiny pair, killed on the way, and gone on with."""

import json

import pytest
from killed import killed_after

from ssdreal.profile import program as profile
from ssdreal.tune import program as tune
from ssdsim import load_run

OPTIONS = {
    "ssd": "method=ssd lookahead=2 policy=topk_outcomes policy.budget=4",
    "sd": "method=speculative lookahead=3",
    "pearl": "method=pearl lookahead=2",
    "oracle": "method=ssd policy=oracle",
    "ar": "method=autoregressive",
}


@pytest.mark.slow
def test_the_tiny_pair_is_tuned(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tune, "TRACES", tmp_path)
    asked = ["--pair", "tiny", "--dtype", "float32", "--quick", "--name", "tiny"]
    profile.main([*asked, "--out", str(tmp_path)])
    candidates = [
        {"name": name, "options": options, "tokens_per_s": 200.0, "low": 150.0, "high": 300.0}
        for name, options in OPTIONS.items()
    ]
    content = {"schema": 1, "profile": "tiny", "fixed": "temperature=0", "candidates": candidates}
    (tmp_path / "tune.json").write_text(json.dumps(content))
    mine, out = tmp_path / "mine.txt", tmp_path / "out"
    mine.write_text("Which prompts are these?\nThey are the user's own.\n")
    asked = [str(tmp_path), "--prompts", str(mine), "--tokens", "8", "--blocks", "3"]
    asked += ["--out", str(out)]
    journal = out / "runs" / "tuned.json"
    traces = f"from pathlib import Path; program.TRACES = Path({str(tmp_path)!r})"
    kept = killed_after(7, journal, "tune", *asked, prelude=traces)
    assert kept[0] == "anchors/0"
    before = {name: load_run(out / "runs" / name).info["run_id"] for name in kept[1:]}
    assert set(list(before)[:4]) == {f"tuned/{name}" for name in OPTIONS if name != "oracle"}
    with pytest.raises(SystemExit):
        tune.main([*asked, "--resume", "--tokens", "9"])
    assert "--resume: --tokens=9: needs 8" in capsys.readouterr().err

    tune.main([*asked, "--resume"])
    assert {name: load_run(out / "runs" / name).info["run_id"] for name in before} == before
    made = json.loads(journal.read_text())["finished"]
    assert made[-1] == "anchors/2"  # before either sitting, and after the last
    printed = capsys.readouterr().out
    for words in ("× leader", "seconds a round", "scheduling", "regret of ssdsim's choice, ssd: "):
        assert words in printed
    assert "1 left out: policy='oracle'" in printed
    content = json.loads((out / "tuned.json").read_text())
    assert content["complete"]
    assert 2 <= content["blocks"] <= 3
    assert content["choice"] == "ssd"
    assert content["regret"]["low"] <= content["regret"]["middle"] <= content["regret"]["high"]
    for one in content["candidates"]:
        assert not one["missing"]
        assert all(speed > 0 for speed in one["causes"].values())
        runs = len(one["measured"]["tokens_per_s"])
        assert runs == (one["dropped"] or {"blocks": content["blocks"]})["blocks"]
        run = load_run(out / "runs" / "tuned" / one["name"])
        assert set(run.sequences.prompt) == {"line 1", "line 2"}
        assert run.metrics["tokens_per_s"] == one["measured"]["tokens_per_s"][0]
    assert {one["method"] for one in content["learned"]} == {
        *("ssd", "speculative", "pearl", "autoregressive", "all")
    }

    tune.main([*asked, "--resume", "--blocks", "2"])  # nothing is left to measure
    assert json.loads(journal.read_text())["finished"] == made
