"""A profile that ends before its time goes on where it was."""

import pyarrow.parquet as pq
import pytest
import yaml
from known_machines import planted, setup_of

from ssdreal.profile import program as profile
from ssdreal.profile.acceptance_recording import GeneratedText
from ssdreal.profile.calibration_runs import CalibrationRuns
from ssdreal.profile.sampled_texts import SampledTexts, TextGenerator
from ssdsim import simulate
from ssdsim.calibration.profile_file import write_profile
from ssdsim.calibration.timings import timings

VISITS, WAYS = 24, 3
"""Of a quick look: calibration runs, and ways of decoding."""


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
    rows = pq.read_table(f"{exact_trace}/acceptance.parquet").to_pylist()

    def pieces(_, visit, number):
        steps.take("visit")
        return timings(simulate(setup_of(visit, planted(), number, 12)), number)

    def sampled(_, decoding):
        steps.take("texts")
        return SampledTexts(decoding, 3, (GeneratedText(0, "a", "b", (1, 2), (3,)),))

    def read(_, texts, *__):
        steps.take("read")
        assert [type(one) for one in texts] == [SampledTexts] * WAYS
        assert texts[1].decoding.temperature == 1.0
        assert texts[1].texts[0].prompt == (1, 2)
        return rows

    monkeypatch.setattr(CalibrationRuns, "pieces", pieces)
    monkeypatch.setattr(TextGenerator, "sampled", sampled)
    monkeypatch.setattr(profile, "read_by_both", read)
    monkeypatch.setattr(profile, "shortened", lambda row: row)

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
    whole = ["visit"] * VISITS + ["texts"] * WAYS + ["read", "write"]
    assert profiled("whole") == (0, whole)
    for last in (VISITS + 1, len(whole) - 1):
        name = f"killed_{last}"
        assert profiled(name, last=last) == (130, whole[:last])
        assert "--resume goes on" in capsys.readouterr().err
        again = ["read"] if last == len(whole) - 1 else []  # which is not kept
        assert profiled(name, "--resume") == (0, again + whole[last:])
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
    assert (code, len(done)) == (0, VISITS - 1 + WAYS + 1 + 2)
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
    assert (code, len(done)) == (0, VISITS + WAYS + 2 - 3)
