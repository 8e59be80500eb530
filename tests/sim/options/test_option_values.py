"""Whatever kind of value an option gets: it is possible, or one line says why not."""

from random import Random

import pytest
from commands import refused
from nasty import VALUES, Case, keys, said

from ssdreal.command.cli import Measuring
from ssdreal.command.config import GROUPS as REAL_GROUPS
from ssdsim.command.choices import check_choices
from ssdsim.command.cli import Simulating
from ssdsim.command.config import register
from ssdsim.errors import ConfigError
from ssdsim.options.plugins import GROUPS

LLAMA = ("profile=h100x4_llama70b_1b",)
NESTED = (
    *(f"latency.{name}" for name in ("target", "link", "link.bandwidth", "target_jitter")),
    *(f"latency.{name}" for name in ("colocated", "sampling.maximal", "target_power", "padding")),
    *(f"workload.{name}" for name in ("prompts", "prompt_tokens", "output_tokens", "steps")),
    *("pair.target", "saguaro.fanout", "policy.nosuch", "nosuch", "+new", "+policy.new", "++batch"),
    *("policy._target_", "latency._target_", "_target_", "seed.x", "method@x", "hydra/launcher"),
)
ALL = [
    *keys("config.yaml", GROUPS),
    *(((), key) for key in NESTED),
    *((LLAMA, f"acceptance.at{name}") for name in ("", ".t07", ".t07.hit_rate", ".t07.rates")),
    *((LLAMA, f"latency.target.{name}") for name in ("passes", "passes.verify", "elsewhere")),
]
CASES = [
    *(Case(right, f"{key}={value}") for right, key in ALL if key != "out" for value in VALUES),
    *(Case(right, wrong) for right, key in ALL for wrong in (key, f"~{key}", f"+{key}=1")),
]
REAL = [
    Case(right, f"{key}={value}")
    for right, key in keys("real.yaml", REAL_GROUPS)
    if key not in {"out", "prompts"}
    for value in VALUES
]


def simulated(*arguments):
    Simulating().prepare(*arguments).start(lambda _: None)


def check(cases, program, prepare):
    program.register()
    for case in cases:
        line = said(case, program.config, prepare)
        assert line is None or line.strip(), case


def test_a_sample_of_values():
    check(Random(3).sample(CASES, 25), Simulating(), simulated)


def test_a_sample_of_values_of_real_runs():
    program = Measuring()
    check(Random(4).sample(REAL, 15), program, program.prepare)


@pytest.mark.slow
def test_many_values():
    check(Random(5).sample(CASES, 300), Simulating(), simulated)


@pytest.mark.slow
def test_many_values_of_real_runs():
    program = Measuring()
    check(Random(6).sample(REAL, 200), program, program.prepare)


@pytest.mark.parametrize("group", ["method", "pair", "profile", "workload", "latency"])
@pytest.mark.parametrize(
    "value", ["-1", "0", "null", "[1]", "true", "nan", "", "''", "x,1", "${seed}"]
)
def test_groups_are_chosen_by_name(group, value):
    register()
    with pytest.raises(ConfigError, match=rf"^{group}=.*: needs the name of an option among \w+, "):
        check_choices([f"{group}={value}"])


@pytest.mark.parametrize(
    "override",
    [
        "method=ssd",
        "method=ssd,'pearl'",
        "method=glob(*)",
        "tree={}",
        "~method",
        "policy={budget:3}",
    ],
)
def test_names_and_patterns_are_names(override):
    register()
    check_choices([override, "seed=3", "policy.budget=[1]"])


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("method=-1", "method=-1: needs the name of an option among amusd"),
        ("tree=[-1]", "tree=[-1]: needs the name"),
        ("hydra/launcher=3", "hydra/launcher=3: needs the name of an option"),
        ("lookahead=range(5,1)", "lookahead=range(5,1): is empty"),
        ("method=range(3)", "method=0: needs the name"),
        ("+policy.budget=3", "+policy.budget: is there already"),
        ("acceptance='???'", "acceptance: needs the name of an option"),
        ("latency.link=0.05", "latency.link=0.05: has options of its own: latency.link.latency"),
        ("lookahead=100000", "lookahead=100000: needs at most 4096"),
        ("lookahead=1000000000 tree=widths", "lookahead=1000000000: needs at most 4096"),
        ("draft_pool=1000000000", "draft_pool=1000000000: needs a number from 0 to "),
        ("workload.prompts=1000000000000", "workload.prompts=1000000000000: needs at most"),
    ],
)
def test_one_line(argument, words, capsys, tmp_path):
    assert refused(capsys, tmp_path / "out", *argument.split()).startswith(words)


def test_a_step_without_room_for_a_verify_is_refused_by_its_budget(capsys, tmp_path):
    arguments = "serving=continuous", "serving.max_num_batched_tokens=1"
    line = refused(capsys, tmp_path / "out", *arguments)
    assert line.startswith("serving.max_num_batched_tokens=1: needs at least 8")


@pytest.mark.parametrize(
    ("argument", "line"),
    [
        (
            "--lookahead=5",
            "--lookahead=5: there is no such flag; options have no dashes: lookahead=5",
        ),
        ("-x", "-x: there is no such flag; options have no dashes"),
    ],
)
def test_an_option_with_dashes_gets_one_line(argument, line, capsys, tmp_path):
    assert refused(capsys, tmp_path / "out", argument) == line
