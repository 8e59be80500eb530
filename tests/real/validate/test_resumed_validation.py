"""A validation that ends before its time, or cannot say all there is to say."""

import json
from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import pytest
import yaml
from known_machines import planted, setup_of

from ssdreal.executor.setup import Setup
from ssdreal.executor.simulated_twin import simulated_twin
from ssdreal.profile.calibration_runs import CalibrationRuns
from ssdreal.validate import program as validate
from ssdreal.validate.configurations import Configuration, configurations
from ssdreal.validate.findings import Findings
from ssdsim import simulate
from ssdsim.acceptance.recorded import Recorded
from ssdsim.calibration.machine_state import Nearby
from ssdsim.calibration.prediction import METRICS, Profile
from ssdsim.calibration.timings import timings
from ssdsim.errors import ConfigError, RunError
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.run.trace import Run
from ssdsim.sampling.settings import Decoding

CONFIGURATIONS = {
    "ar": "method=autoregressive",
    "sd": "method=speculative lookahead=2",
    "confidence": "lookahead=2 length=confidence",  # needs what no run keeps
    "hot": "method=autoregressive temperature=1.9",  # beyond what the profile has recorded
}


class Sitting:
    """Makes runs by simulation, and is interrupted at one of them."""

    made, last = 0, 0

    def __init__(self, *_):
        self.known = validate.Profile(validate.TRACES / "two_cores")

    def execution(self, setup, *_):
        Sitting.made += 1
        if Sitting.made == Sitting.last:
            raise KeyboardInterrupt
        known = replace(setup, decoding=Decoding()) if setup.decoding.temperature else setup
        run = simulate(simulated_twin(known, self.known.acceptance, self.known.machine))
        return SimpleNamespace(run=lambda: None, lost=None, result=lambda: run)

    def close(self):
        pass


@pytest.fixture
def validated(tmp_path, monkeypatch):
    """Return a function that validates a small split; its runs are simulated, no text is read."""

    def unread(*_):
        raise RunError("a process that read\nthe texts was lost")

    def pieces(_, visit, number):
        run = simulate(setup_of(visit, planted(), number, 12))
        return timings(run, number)

    monkeypatch.setattr("ssdreal.validate.replayed.read_by_both", unread)
    monkeypatch.setattr(Profile.predict, "__defaults__", (1,))
    monkeypatch.setattr(CalibrationRuns, "pieces", pieces)
    monkeypatch.setattr(Profile, "_fit", lambda known, _: known.calibration.fit)
    monkeypatch.setattr(validate, "Profile", cache(Profile))
    monkeypatch.setattr(validate, "Sitting", Sitting)
    composed = cache(lambda tokens: configurations(*composing[tokens]))
    composing = {}

    def once(*asked):
        composing[asked[-1]] = asked
        return composed(asked[-1])

    monkeypatch.setattr(validate, "configurations", once)
    split, out = tmp_path / "small.yaml", tmp_path / "out"
    part = {"prompts": [["chat-09", "maths-09"]], "configurations": CONFIGURATIONS}
    split.write_text(yaml.safe_dump({"test": part, "baselines": ["ar"]}, sort_keys=False))
    asked = ["--profile", "two_cores", "--split", str(split), "--out", str(out), "--repeats", "2"]

    def run(*arguments, last=0):
        Sitting.made, Sitting.last = 0, last
        try:
            validate.main([*asked, "--tokens", "8", *arguments])
            code = 0
        except SystemExit as end:
            code = end.code
        file = out / "small.json"
        return code, json.loads(file.read_text()) if file.exists() else None

    return run


def test_what_cannot_be_said_of_a_configuration_costs_none_of_its_measurements(tmp_path):
    class Unknowing:
        def predict(self, *_, **__):
            raise ConfigError("temperature=9: too hot")

        acceptance, machine = Recorded("nowhere"), None

    one = Configuration("test", "ar", "", Setup(Autoregressive()), baseline=False)
    found = Findings(tmp_path / "x.json", [one])
    found.predict(Unknowing(), [one], {"test": ["chat"]}, {})
    found.runs["test/ar"] = [Run({"metrics": dict.fromkeys(METRICS, 2.0)}, {})]
    replays = SimpleNamespace(comparable=lambda _: [], record=lambda *_: None)
    found.explain(Unknowing(), replays, SimpleNamespace(nearby=lambda _: Nearby()))
    found.save(complete=True)
    (row,) = json.loads(found.file.read_text())["configurations"]
    assert row["measured"]["tokens_per_s"] == [2.0]
    assert row["missing"]["predicted"] == "temperature=9: too hot"
    assert row["missing"]["causes"]
    assert (row["predicted"], row["causes"]) == (None, None)
    assert len(found.tables()) == 4


@pytest.mark.slow
def test_a_validation_goes_on_and_says_in_each_row_what_is_missing(validated, capsys, tmp_path):
    code, content = validated(last=4)
    assert (code, content["complete"]) == (130, False)
    before = {one["name"]: one for one in content["configurations"]}
    assert len(before) == 3
    printed = capsys.readouterr()
    assert "--resume --out" in printed.err
    assert all(f"test/{name}" in printed.out for name in before)

    code, _ = validated()
    assert code == 2
    assert (
        "holds runs of this split, which --resume goes on from, already" in capsys.readouterr().err
    )
    code, _ = validated("--resume", "--tokens", "9")
    assert (code, Sitting.made) == (2, 0)
    assert ": --resume: --tokens=9: needs 8, which what is kept in " in capsys.readouterr().err

    code, content = validated("--resume")
    assert (code, content["complete"], Sitting.made) == (0, True, 5)
    made = json.loads((tmp_path / "out" / "runs" / "small.json").read_text())["finished"]
    anchors = [at for at, name in enumerate(made) if name.startswith("anchors/")]
    # One before each sitting, each repeat and the end; the first was interrupted after 3 runs.
    assert anchors[:2] == [0, 4]
    assert (len(anchors), made[-1]) == (4, "anchors/3")
    after = {one["name"]: one for one in content["configurations"]}
    assert list(after) == list(CONFIGURATIONS)
    for name, one in before.items():
        assert after[name]["predicted"] == one["predicted"]
        assert after[name]["measured"]["tokens_per_s"][0] == one["measured"]["tokens_per_s"][0]
    missing = {name: one["missing"] for name, one in after.items()}
    assert missing["ar"] == {}
    assert missing["sd"] == {"replay": "a process that read the texts was lost"}
    assert missing["confidence"]["causes"].startswith("length='confidence': needs an acceptance")
    assert set(missing["hot"]) == {"predicted"}
    assert after["hot"]["predicted"] is None
    assert after["hot"]["causes"]["acceptance"] is None
    assert after["ar"]["causes"]["measured"] == max(after["ar"]["measured"]["tokens_per_s"])
    assert content["verdicts"]["tokens/s"]["configurations"] == 2  # not the baseline, nor "hot"
    printed = capsys.readouterr().out
    assert "confidences" in printed
    assert "(1.9," in printed

    code, content = validated("--resume", "--repeats", "3")  # may be added
    assert (code, Sitting.made) == (0, 4)
    assert {len(one["measured"]["hit_rate"]) for one in content["configurations"]} == {3}


def test_where_to_go_on_must_be_named(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        validate.main(["--profile", "two_cores", "--quick", "--resume"])
    assert "--resume: needs --out, the folder to go on in" in capsys.readouterr().err
