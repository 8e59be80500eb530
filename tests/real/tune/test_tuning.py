"""What `python -m ssdreal.tune` is given, and whom it races."""

import json
from contextlib import nullcontext

import pytest
import yaml
from raced import METHODS

from ssdreal.executor.pair import Pair
from ssdreal.executor.setup import Setup
from ssdreal.executor.workload import Task
from ssdreal.places.topology import topology
from ssdreal.tune import program as tune
from ssdreal.tune.candidates import Candidate, Tuning, read_tuning
from ssdreal.tune.entrants import Machine
from ssdreal.tune.entrants import entrants as entering
from ssdsim.errors import ConfigError
from ssdsim.system.package_data import CONF

AR = {"name": "ar", "options": "method=autoregressive", "tokens_per_s": 9, "low": 8, "high": 10}
SD = AR | {"name": "sd", "options": "method=speculative lookahead=2"}
GOOD = {"schema": 1, "profile": "two_cores", "fixed": "temperature=0", "candidates": [AR, SD]}


@pytest.fixture
def written(tmp_path):
    """Return a function that writes a simulated tuning and says where."""

    def write(content):
        (tmp_path / "tune.json").write_text(
            content if isinstance(content, str) else json.dumps(content)
        )
        return str(tmp_path)

    return write


def refusal(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        tune.main([*arguments])
    assert ended.value.code == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    return line


# What it is given


def test_a_tuning_is_read_from_its_folder_or_its_file(written):
    folder = written(GOOD)
    found = read_tuning(folder)
    assert found == read_tuning(f"{folder}/tune.json")
    assert found.candidates[1] == Candidate("sd", "method=speculative lookahead=2", 9, 8, 10)
    assert found.overrides(found.candidates[0]) == "temperature=0 method=autoregressive"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "tune.json: needs the tune.json that python -m ssdsim.tune has written ("),
        ("[" * 9999, "tune.json: needs the tune.json that"),
        ([], "Expected `object`, got `array`"),
        ({}, "missing required field `schema`"),
        (GOOD | {"schema": 2}, "schema=2: needs 1"),
        (GOOD | {"profile": "../x"}, "profile='../x': needs the name of a folder in traces/"),
        (GOOD | {"profile": ""}, "profile='': needs the name of a folder in traces/"),
        (GOOD | {"candidates": [AR, AR]}, "candidates=['ar']: are there twice"),
        (GOOD | {"candidates": [AR | {"name": "a/b"}]}, "name='a/b': needs names of letters"),
        (GOOD | {"candidates": [AR | {"options": 3}]}, "Expected `str`, got `int`"),
        (GOOD | {"candidates": [AR | {"low": -1}]}, "ar: low=-1.0: needs a number above 0"),
        (GOOD | {"candidates": [AR | {"high": 1e999}]}, "tune.json: needs the tune.json"),
    ],
)
def test_what_is_no_tuning_is_refused_in_one_line(content, words, written, capsys):
    assert words in refusal(capsys, written(content))


def test_a_file_that_is_not_there_is_refused(tmp_path, capsys):
    assert "tune.json: cannot be read (No such file" in refusal(capsys, str(tmp_path))
    assert "the following arguments are required: tuned" in refusal(capsys)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--most", "1"], "--most=1: needs a number >= 2"),
        (["--each", "0"], "--each=0: needs a number >= 1"),
        (["--tokens", "0"], "--tokens=0"),
        (["--blocks", "1"], "--blocks=1: needs a number >= 2"),
        (["--seconds", "nan"], "--seconds=nan: needs a number >= 0"),
        (["--within", "0"], "--within=0"),
        (["--confidence", "1"], "--confidence=1"),
        (["--resume"], "--resume: needs --out, the folder to go on in"),
        (["--out", "/dev/null"], "--out=/dev/null: cannot be written"),
    ],
)
def test_arguments_that_cannot_be_are_refused(arguments, words, written, capsys):
    assert words in refusal(capsys, written(GOOD), *arguments)


def test_a_profile_that_nobody_measured_is_refused(written, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = written(GOOD | {"profile": "nowhere"})
    line = refusal(capsys, folder)
    assert f"{folder}: profile=nowhere: needs a folder of traces/ that python -m ssdre" in line
    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize("left", ["tuned.json", "runs/tuned.json", "runs/tuned"])
def test_a_tuning_is_written_over_nothing(left, written, tmp_path):
    folder, out = written(GOOD), tmp_path / "out"
    (out / left).mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"^--out=.*out: holds .*; .*add --overwrite"):
        tune.question([folder, "--out", str(out)])
    assert tune.question([folder, "--out", str(out), "--overwrite"]).out == out
    assert tune.question([folder]).out.parts[0] == "outputs"


# Whom it races


def offered(*options):
    found = [Candidate(f"c{at}", words, 9.0, 8.0, 10.0) for at, words in enumerate(options)]
    return Tuning(1, "tiny", found, "temperature=0")


def chosen(tuning, most=8, each=8, tokens=8, exits=()):
    pair = Pair("tiny_target", "tiny_draft")
    machine = Machine(pair, "float32", topology("cpu", None), exits)
    return entering(tuning, machine, [Task("a", "own", [1, 2, 3])], tokens, most, each)


def test_who_cannot_run_is_left_out_with_a_reason():
    found = chosen(
        offered(
            "method=dsi",
            "method=speculative lookahead=2",
            "method=ssd policy=oracle",
            "method=ssd batch=two",
            "method=autoregressive seed=3",
            "method=autoregressive",
        )
    )
    assert [one.name for one in found.chosen] == ["c1", "c5"]
    assert [one.method for one in found.chosen] == ["speculative", "autoregressive"]
    assert list(found.left_out) == ["c0", "c2", "c3", "c4"]
    assert "method='dsi': is simulated only" in found.left_out["c0"]
    assert found.left_out["c4"] == "seed: has no effect here, every repeat has a seed of its own"
    setup = found.chosen[0].configuration.setup
    assert (setup.lookahead, setup.workload.output_tokens, setup.workload.prompts) == (2, 8, 1)


def test_an_early_view_that_nobody_recorded_is_left_out():
    offers = offered("method=two_phase method.exit=0.5 method.second=exit_target lookahead=2")
    assert "after layer 1, of which the profile" in chosen(offers).left_out["c0"]
    (one,) = chosen(offers, exits=(1,)).chosen
    assert one.configuration.exit_layer == 1


def test_no_other_default_differs():
    """What both mains say of an option, but for what a tuning says in full."""
    simulated, real = (
        yaml.safe_load((CONF / name).read_text()) for name in ("config.yaml", "real.yaml")
    )
    chosen = [
        {k: v for one in of["defaults"] if one != "_self_" for k, v in one.items()}
        for of in (simulated, real)
    ]
    both = set(simulated) & set(real) - {"defaults", "hydra"}
    assert {name for name in both if simulated[name] != real[name]} == {"lookahead"}
    alike = set(chosen[0]) & set(chosen[1]) - {"acceptance", "pair", "workload"}
    assert all(chosen[0][name] == chosen[1][name] for name in alike)
    assert [name for name in chosen[1] if name in real] == ["policy"]
    assert list(real["policy"]) == ["budget"]


@pytest.fixture
def at_once(monkeypatch):
    """Set candidates up without Hydra, which takes its time."""
    monkeypatch.setattr("ssdreal.tune.entrants.composing", nullcontext)
    monkeypatch.setattr(
        "ssdreal.tune.entrants.read_setup", lambda _, words: Setup(METHODS[words.split()[1]])
    )


@pytest.mark.usefixtures("at_once")
def test_the_leaders_race_and_so_many_of_each_method():
    offers = offered("sd", "sd", "sd", "ar")
    assert [one.name for one in chosen(offers, most=3).chosen] == ["c0", "c1", "c2"]
    assert [one.name for one in chosen(offers, each=2).chosen] == ["c0", "c1", "c3"]


@pytest.mark.usefixtures("at_once")
def test_a_race_of_one_is_refused_with_the_reason():
    found = chosen(offered("ar", "sd"), tokens=9999)
    with pytest.raises(ConfigError, match=r"^0 of the candidates can be .*: c0: --tokens=9999: "):
        found.check()
    with pytest.raises(ConfigError, match=r"^1 of the candidates .*: the file holds no more"):
        chosen(offered("ar")).check()
