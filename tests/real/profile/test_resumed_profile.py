"""A profile that ends before its time goes on where it was."""

import json
import re
from unittest.mock import Mock

import pyarrow.parquet as pq
import pytest
import yaml
from known_machines import planted, setup_of

from ssdreal.profile import program as profile
from ssdreal.profile.calibration_runs import CalibrationRuns
from ssdreal.profile.extension import extend
from ssdsim import simulate
from ssdsim.calibration.calibration_plan import plan
from ssdsim.calibration.profile_file import write_profile
from ssdsim.calibration.timings import timings

VISITS, PARTS = len(plan((1, 3), (1, 4, 8), 2, spread=True)), 1
"""Of a quick look: calibration runs, and parts of the prompts."""


class Steps:
    """Counts the steps of a profile, and is interrupted at one of them."""

    def __init__(self):
        self.done, self.last = [], None

    def take(self, name):
        if len(self.done) == self.last:
            raise KeyboardInterrupt
        self.done.append(name)


@pytest.fixture
def profiled(tmp_path, monkeypatch, exact_trace):
    """Return a function that profiles with these arguments; its runs are simulated."""
    steps = Steps()
    rows = [  # of as many settings as the split has, and of its prompts
        row
        | {name: 2 * row[name] for name in ("saguaro_a", "saguaro_e")}
        | {"prompt": row["prompt"].replace("synthetic-", "chat-0").replace("chat-00", "chat-04")}
        for row in pq.read_table(f"{exact_trace}/acceptance.parquet").to_pylist()
    ]

    def pieces(_, visit, number):
        steps.take("visit")
        return timings(simulate(setup_of(visit, planted(), number, 12)), number)

    class Processes:
        """Makes pieces in this process, each when it is asked for."""

        def __init__(self, *_, **__):
            pass

        def __call__(self, wanted):
            for _ in wanted:
                steps.take("texts")
                yield rows

    monkeypatch.setattr(CalibrationRuns, "pieces", pieces)
    monkeypatch.setattr("joblib.Parallel", Processes)

    def written(*arguments):
        steps.take("write")  # the timings and the trace are there by then
        write_profile(*arguments)

    monkeypatch.setattr(profile, "write_profile", written)

    def run(name, *arguments, last=None):
        steps.done, steps.last = [], last
        asked = ["--pair", "tiny", "--quick", "--out", str(tmp_path), "--name", name]
        try:
            profile.main([*asked, *arguments])
        except SystemExit as end:
            return end.code, steps.done
        return 0, steps.done

    return run


def content(folder):
    latency = yaml.safe_load((folder / "profile.yaml").read_text())["latency"]
    return latency, pq.read_table(folder / "timings.parquet").to_pandas()


def test_a_profile_goes_on_from_every_step(profiled, tmp_path, capsys):
    whole = ["visit"] * VISITS + ["texts"] * PARTS + ["write"]
    assert profiled("whole") == (0, whole)
    for last in (VISITS - 2, len(whole) - 1):
        name = f"killed_{last}"
        assert profiled(name, last=last) == (130, whole[:last])
        assert "--resume goes on" in capsys.readouterr().err
        assert profiled(name, "--resume") == (0, whole[last:])
        files = {file.name for file in (tmp_path / name).iterdir()}
        assert files == {"profile.yaml", "timings.parquet", "acceptance.parquet", "run.json"}
        assert content(tmp_path / name)[0] == content(tmp_path / "whole")[0]
        assert content(tmp_path / name)[1].equals(content(tmp_path / "whole")[1])


def test_profiles_of_one_order_go_on_together(profiled, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    split = ("--split", "0.5", "0.8")
    assert profiled("both", *split, last=VISITS + 1)[0] == 130  # in the second's
    assert profiled("both", "--resume", "--split", "0.5")[0] == 2
    assert "--resume: --split=[0.5]: needs [0.5, 0.8]" in capsys.readouterr().err
    code, done = profiled("both", "--resume", *split)
    assert (code, len(done)) == (0, VISITS - 1 + PARTS + 2)
    assert {len([*folder.iterdir()]) for folder in tmp_path.iterdir()} == {4}


def test_a_profile_that_is_replaced_is_there_until_the_new_one_is(profiled, tmp_path, capsys):
    profiled("mine")
    before = content(tmp_path / "mine")
    assert profiled("mine", "--overwrite", last=3)[0] == 130
    assert content(tmp_path / "mine")[0] == before[0]
    capsys.readouterr()
    assert profiled("mine") == (2, [])
    assert "holds an unfinished profile, which --resume goes on with" in capsys.readouterr().err
    assert profiled("mine", "--resume", "--tokens", "9") == (2, [])
    assert "--resume: --tokens=9: needs 16, which what is kept in" in capsys.readouterr().err
    code, done = profiled("mine", "--resume")
    assert (code, len(done)) == (0, VISITS + PARTS + 1 - 3)


def test_another_sitting_is_added_to_a_profile(profiled, tmp_path, monkeypatch, capsys):
    """In an hour in which everything takes longer; killed, it goes on."""
    profiled("mine")
    before = content(tmp_path / "mine")[0]

    def slower(calibration, visit, number):
        slow = planted(target_factor=1.21, draft_factor=1.21)
        return timings(
            simulate(setup_of(visit, slow, number, 12)), number, sitting=calibration.hour
        )

    assert profiled("mine", "--extend", last=0)[0] == 2
    assert "--pair, --quick" in capsys.readouterr().err
    monkeypatch.setattr(CalibrationRuns, "pieces", slower)
    asked = ["--out", str(tmp_path), "--name", "mine", "--extend"]
    monkeypatch.setattr(profile, "extend", interrupted := Mock(side_effect=KeyboardInterrupt))
    with pytest.raises(SystemExit, match="130"):
        profile.main(asked)
    assert interrupted.called
    monkeypatch.setattr(profile, "extend", extend)
    monkeypatch.setattr(CalibrationRuns, "pieces", interrupted)
    profile.main([*asked, "--resume"])  # all was kept
    latency, table = content(tmp_path / "mine")
    assert sorted(set(table.sitting)) == [0, 1]
    assert table.groupby("visit").sitting.nunique().max() == 1
    seconds = [of["target"]["passes"]["verify"]["seconds"][0][0][0] for of in (before, latency)]
    assert seconds[1] / seconds[0] == pytest.approx(1.1, rel=0.01)  # between both hours
    info = json.loads((tmp_path / "mine" / "run.json").read_text())
    assert len(info["sittings"]) == 2
    assert info["sizes"]["lookaheads"] == [1, 3]
    text = (tmp_path / "mine" / "profile.yaml").read_text()
    assert "# Another sitting on 20" in text
    levels = re.search(r"2 sittings, target/draft: ([\d.]+)/([\d.]+), ([\d.]+)/([\d.]+)", text)
    found = [float(one) for one in levels.groups()]
    assert found == pytest.approx([1 / 1.1, 1 / 1.1, 1.1, 1.1], rel=0.02)
    assert not (tmp_path / "mine" / "kept").exists()
