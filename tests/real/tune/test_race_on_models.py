"""How `python -m ssdreal.tune` races, and what it says of it."""

import json
from math import exp, inf, log

import pytest
from raced import Measurements, run, tuned

from ssdreal.tune.blocks import Blocks
from ssdreal.tune.learned import main_cause
from ssdreal.tune.report import sentences, tables
from ssdsim.calibration.error_causes import Causes
from ssdsim.command.console import table_console
from ssdsim.tune.racing import Rule

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
