"""`python -m ssdreal.tune`: what it is given, whom it races, in which order, and what it says."""

import json
from contextlib import nullcontext
from math import exp, inf, log

import pytest
import yaml
from raced import METHODS, Measurements, run, tuned

from ssdreal.executor.pair import Pair
from ssdreal.executor.setup import Setup
from ssdreal.executor.workload import Task
from ssdreal.places.topology import topology
from ssdreal.tune import program as tune
from ssdreal.tune.blocks import Blocks
from ssdreal.tune.candidates import Candidate, Tuning, read_tuning
from ssdreal.tune.entrants import Machine
from ssdreal.tune.entrants import entrants as entering
from ssdreal.tune.learned import main_cause
from ssdreal.tune.report import sentences, tables
from ssdsim.calibration.error_causes import Causes
from ssdsim.command.console import table_console
from ssdsim.errors import ConfigError
from ssdsim.system.package_data import CONF
from ssdsim.tune.racing import Rule

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


def chosen(tuning, most=8, each=8, tokens=8):
    machine = Machine(Pair("tiny_target", "tiny_draft"), "float32", topology("cpu", None))
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


# How it races

RULE = Rule(log(1.01), borrowed=8.0)
SPEEDS = {"ssd": 105.0, "sd": 100.0, "ar": 60.0}


def race(folder, rule=RULE, most=12, seconds=inf, measurements=None, **machine):
    """Run a race as far as it goes; return what is known, and the machine."""
    known = tuned(folder, rule)
    machine = measurements or Measurements({}, SPEEDS, **machine)
    machine.runs = known.findings.runs
    blocks = Blocks(machine, known.race, known.entrants.chosen, most, seconds)
    try:
        blocks.run(lambda: known.save(complete=False), lambda _: None)
    except KeyboardInterrupt:
        machine.events.append("interrupted")
    return known, machine


def test_every_block_has_all_that_are_left_in_an_order_of_its_own(tmp_path):
    known, machine = race(tmp_path, noise=0.01)
    assert (machine.events[0], machine.events[-1]) == ("anchor", "anchor")
    blocks = [[e for e in machine.events if e.startswith(f"{at} ")] for at in range(12)]
    assert len({tuple(name.split()[1] for name in block) for block in blocks}) > 2
    gone = known.race.dropped["ar"].blocks
    assert 2 <= gone <= 6
    assert {len(block) for block in blocks[:gone]} == {3}
    assert max(len(block) for block in blocks[gone:]) == 2
    assert known.race.leader == known.choice.name == "ssd"


def test_a_race_that_is_interrupted_goes_on_and_ends_the_same(tmp_path):
    whole, _ = race(tmp_path, noise=0.01)
    cut, machine = race(tmp_path, noise=0.01, last=7)
    assert machine.events[-1] == "interrupted"
    assert len(cut.race.values) == 2
    content = json.loads((tmp_path / "tuned.json").read_text())
    assert content["complete"] is False
    assert sum(len(one["measured"]["tokens_per_s"]) for one in content["candidates"]) == 7
    made, machine.last, machine.events = [*machine.journal], None, []
    again, machine = race(tmp_path, measurements=machine)
    assert [*machine.journal][:7] == made
    assert machine.events[0] == "anchor"
    assert (again.race.values == whole.race.values)[: gone(whole)].all()
    assert dict(again.race.dropped) == dict(whole.race.dropped)
    more, machine = race(tmp_path, measurements=machine)
    assert machine.events.count("anchor") == 2  # nothing was left to measure
    assert dict(more.race.dropped) == dict(whole.race.dropped)


def test_an_interrupt_in_the_first_block_shows_what_there_is(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("ssdreal.tune.blocks.SEED", 2)  # which does not begin with the choice
    known, machine = race(tmp_path, last=1)
    (name,) = (event.split()[1] for event in machine.events if event[0] == "0")
    assert name != known.choice.name
    printed, said = shown(known, capsys)
    assert printed.splitlines()[2].split()[0] == name
    assert said[0].startswith(f"best: {name} (method={name}), ")
    assert said[1] == "stopped after 0 blocks, too few to tell anything"
    assert said[2] == "regret of ssdsim's choice, ssd: 0.0% (0.0% – 100.0%)"


def gone(known):
    return known.race.dropped["ar"].blocks


def test_no_block_begins_after_so_many_seconds(tmp_path):
    known, machine = race(tmp_path, seconds=0.0, noise=0.01)
    assert len(known.race.values) == 1
    assert machine.events[-1] == "anchor"
    assert sentences(known)[0].startswith("best: s")  # with so little known it says so
    assert "too few blocks" in sentences(known)[0]
    assert sentences(known)[3] == "noise: too few blocks to tell"


# What it says


def shown(known, capsys):
    for table in tables(known):
        table_console(118).print(table)
    return capsys.readouterr().out, sentences(known)


def test_a_wrong_choice_costs_its_regret(tmp_path, capsys):
    known, _ = race(tmp_path, measurements=Measurements({}, SPEEDS | {"sd": 150.0}, 0.003))
    printed, said = shown(known, capsys)
    assert known.race.over == "separated"
    assert said[0].startswith("best: sd (method=sd), ")
    assert "at most 0.0% slower than the best of all" in said[0]
    assert said[1] == f"ended after {len(known.race.values)} blocks: all others are slower"
    low, middle, high = known.race.behind("ssd")
    assert low < log(150 / 105) < high
    assert exp(-middle) == pytest.approx(105 / 150, rel=0.02)
    assert said[2].startswith("regret of ssdsim's choice, ssd: 30")
    rows = [line.split() for line in printed.splitlines()[2:5]]
    assert [row[0] for row in rows] == ["sd", "ssd", "ar"]
    assert rows[0][-4:] == ["1.000", "–", str(len(known.race.values)), "–"]


def test_noise_that_hides_the_difference_is_said_with_its_spread(tmp_path):
    close = {"ssd": 100.0, "sd": 100.5, "ar": 100.2}
    known, _ = race(tmp_path, most=6, measurements=Measurements({}, close, 0.03))
    said = sentences(known)
    assert said[1].startswith("stopped after 6 blocks with 3 left, whose difference noise hides; ")
    assert "telling 1.0% apart takes some " in said[1]
    assert said[3].startswith("noise: blocks differ by ± ")
    assert 0.01 < known.race.noise.own < 0.06


def test_equals_are_called_alike(tmp_path):
    same = dict.fromkeys(SPEEDS, 100.0)
    known, _ = race(tmp_path, measurements=Measurements({}, same, 0.0005))
    assert known.race.over == "alike"
    assert sentences(known)[1].endswith(" blocks with 3 left: none is 1.0% faster")


def test_errors_are_told_by_method_and_by_cause(tmp_path, capsys):
    """Predicted 120, 90 and 50 tokens/s; measured 100, 100 and 50, with known causes."""
    known = tuned(tmp_path, RULE)
    known.entrants.left_out |= dict.fromkeys(("dsi-1", "dsi-2"), "method='dsi': is simulated only")
    for name, speed in {"ssd": 100.0, "sd": 100.0, "ar": 50.0}.items():
        known.findings.runs[f"tuned/{name}"] = [run(speed, 0.5 if name == "ssd" else None)] * 2
        known.findings.causes[f"tuned/{name}"] = Causes(
            speed, speed, speed, speed, speed, 1.2 * speed
        )
    known.race.add({"ssd": log(100), "sd": log(100.1), "ar": log(50)})
    known.expected["ssd"] = {"acceptance_length": 3.0, "step_seconds": 0.02, "hit_rate": 0.7}
    *methods, everything = known.lessons()
    sd, ssd, ar = methods
    assert [one.method for one in methods] == ["speculative", "ssd", "autoregressive"]
    assert ssd.errors == pytest.approx(
        {"tokens_per_s": 0.2, "acceptance_length": 0.5, "hit_rate": 0.2, "step_seconds": 0.0}
    )
    assert sd.errors["tokens_per_s"] == pytest.approx(-0.1)
    assert (ar.configurations, everything.configurations, everything.method) == (1, 3, "all")
    common = (0.2 - 0.1 + 0.0) / 3
    assert everything.errors["tokens_per_s"] == pytest.approx(common)
    assert ssd.ratio == pytest.approx(1.2 / (1 + common) - 1)
    assert everything.ratio == pytest.approx(0.0)
    assert ssd.causes["acceptance"] == pytest.approx(0.2)
    assert main_cause([ssd, sd, ar]) == {"acceptance": pytest.approx(0.2)}
    assert main_cause([]) == {}
    printed, said = shown(known, capsys)
    assert "+20.0%" in printed
    assert "profile --prompts FILE" in "".join(said)
    assert said[-1] == "2 left out: method='dsi': is simulated only"
    known.save(complete=True)
    content = json.loads((tmp_path / "tuned.json").read_text(), parse_constant=pytest.fail)
    assert content["learned"][1]["causes"]["acceptance"] == pytest.approx(0.2)
    assert content["noise"] == {"own": None, "shared": None}


def test_what_cannot_be_explained_says_so_beside_its_options(tmp_path, capsys):
    known, _ = race(tmp_path, most=2, noise=0.01)
    known.findings.missing["tuned/ssd"] = {"causes": "its rounds were not kept"}
    printed, _ = shown(known, capsys)
    assert "its rounds were not kept" in printed
