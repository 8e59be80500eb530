"""From command line and files to plain objects: what is wrong is said in one line."""

import json
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import TINY, refused, run

from ssdsim import config, load_run
from ssdsim.acceptance.base import Sampling
from ssdsim.acceptance.language_model import LanguageModel, record
from ssdsim.backups.adaptive import Adaptive
from ssdsim.backups.base import Backup
from ssdsim.backups.jit import Jit
from ssdsim.backups.ngram import Ngram
from ssdsim.backups.random import Random
from ssdsim.building import build, make
from ssdsim.errors import ConfigError
from ssdsim.latency.base import Latency
from ssdsim.latency.constant import Constant
from ssdsim.latency.jitter import Jitter, Lognormal, NoJitter
from ssdsim.machine import Link, Machine, Power
from ssdsim.plugins import CONF, profile_files

LLAMA = "profile=h100x4_llama70b_1b"

# What is asked for, and what the line must hold: option, value, and what would be right.
WRONG = {
    "unknown key": (("polcy=x",), "polcy=x", "policy"),
    "added key": (("+foo=1",), "foo=1", "choose among method, policy"),
    "removed key": (("~seed",), "seed", "needs a value"),
    "unknown option of a plug-in": (
        ("policy.nosuch=1",),
        "policy.nosuch=1",
        "budget, prior, ranks",
    ),
    "plug-in without options": (("backup.x=1",), "backup.x=1", "there are none"),
    "added to a group of settings": (("+saguaro.x=1",), "saguaro.x=1", "constant, fanout"),
    "added to a plug-in": (("+policy.x=1",), "policy.x=1", "budget, prior, ranks"),
    "unknown policy": (("policy=nosuch",), "policy=nosuch", "fixed_fanout, geometric_fanout"),
    "unknown profile": (
        ("profile=nosuch",),
        "profile=nosuch",
        "demo, eagle_vicuna7b, h100x4_llama70b_1b",
    ),
    "unknown launcher": (("hydra/launcher=nosuch",), "nosuch", "basic, joblib"),
    "no value": (("lookahead",), "lookahead", "OPTION=VALUE"),
    "open bracket": (("policy.fanout=[3",), "policy.fanout=[3", "OPTION=VALUE"),
    "several values": (("lookahead=3,5",), "lookahead=3,5", "add -m"),
    "lookahead": (("lookahead=-1",), "lookahead=-1", ">= 0"),
    "batch": (("batch=0",), "batch=0", ">= 1"),
    "seed": (("seed=-1",), "seed=-1", ">= 0"),
    "word for a number": (("lookahead=abc",), "lookahead='abc'", "integer"),
    "fraction for a count": (("batch=1.5",), "batch=1.5", "integer"),
    "alpha": (("acceptance=iid", "acceptance.alpha=1.5"), "acceptance.alpha=1.5", "[0, 1]"),
    "nan": (("acceptance=iid", "acceptance.alpha=nan"), "acceptance.alpha=nan", "finite"),
    "long fan-out": (
        ("policy=fixed_fanout", "policy.fanout=[3,3,3]", "lookahead=1"),
        "policy.fanout=[3, 3, 3]",
        "lookahead + 1 = 2",
    ),
    "negative fan-out": (
        ("policy=uniform_fanout", "policy.fanout=-1"),
        "policy.fanout=-1",
        ">= 0",
    ),
    "negative in a list": (
        ("policy=fixed_fanout", "policy.fanout=[3,-1]"),
        "policy.fanout=[3, -1]",
        ">= 0",
    ),
    "word in a list": (
        ("policy=fixed_fanout", "policy.fanout=[3,a]"),
        "policy.fanout.1='a'",
        "integer",
    ),
    "budget": (("policy.budget=0",), "policy.budget=0", '>= 1 or "verify"'),
    "word for a budget": (("policy.budget=all",), "policy.budget='all'", "'verify'"),
    "coupling": (("coupling=none",), "coupling='none'", "'maximal' or 'gumbel'"),
    "saguaro": (("saguaro.constant=0",), "saguaro.constant=0.0", "(0, 1]"),
    "word for saguaro": (("saguaro.fanout=x",), "saguaro.fanout='x'", "integer"),
    "required": (("acceptance=recorded",), "acceptance.path", "needs a value"),
    "hazard without tables": (("acceptance=hazard",), "acceptance.at", "needs a value"),
    "no trace": (
        ("acceptance=recorded", "acceptance.path=/nosuch"),
        "/nosuch",
        "not readable as an acceptance trace",
    ),
    "temperature not logged": ((LLAMA, "temperature=0.3"), "temperature=0.3", "[0.0, 0.7]"),
    "no token ids": (("backup=ngram",), "backup='ngram'", "recorded, language_model"),
    "nested plug-in": (("backup=adaptive", "backup.fast=x"), "backup.fast='x'", "jit, ngram"),
    "nested option": (
        ("backup=adaptive", "backup.fast.seconds=-1"),
        "backup.fast.seconds=-1",
        ">= 0",
    ),
    "jitter": (
        ("latency.target_jitter={_target_: lognormal, sigma: -1}",),
        "latency.target_jitter.sigma=-1",
        "at least 0",
    ),
    "jitter without its option": (
        ("latency.target_jitter=lognormal",),
        "latency.target_jitter.sigma",
        "needs a value",
    ),
    "power": (("latency.target_power.busy=x",), "latency.target_power.busy='x'", "number"),
    "infinity": (("latency.serve=inf",), "latency.serve=inf", "finite"),
    "negative power": (("latency.draft_power.idle=-1",), "latency.draft_power.idle=-1", ">= 0"),
    "idle option": (("method=autoregressive", "lookahead=3"), "lookahead: has no effect", "none"),
    "idle profile": (
        ("profile=demo", "acceptance=iid", "latency=constant"),
        "profile=demo: has no effect",
        "acceptance, latency",
    ),
    "idle models": (("latency=constant", "pair=llama31_8b_1b"), "pair: has no effect", "roofline"),
    "unlimited link": (
        ("latency=constant", "latency.link.vocabulary=9"),
        "latency.link.vocabulary: has no effect",
        "temperature above 0",
    ),
    "another temperature's table": (
        (LLAMA, "acceptance.at.t07.hit_rate=0.5"),
        "acceptance.at.t07.hit_rate: has no effect",
        "temperature=0.7",
    ),
    "prompts of its own": (
        ("acceptance=language_model", "workload.prompt_tokens=9"),
        "workload.prompt_tokens: has no effect",
        "prompts of its own",
    ),
    "greedy": (("acceptance=language_model", "coupling=gumbel"), "coupling", "greedy"),
    "source without coupling": ((LLAMA, "coupling=gumbel"), "coupling", "hazard does not"),
    "power law beside a table": (
        ("acceptance=iid", "acceptance.miss_table=[0.5]", "acceptance.miss_scale=0.1"),
        "acceptance.miss_scale: has no effect",
        "miss_table replaces it",
    ),
    "link": (("latency.link.bandwidth=0",), "latency.link.bandwidth=0", "> 0"),
    "too few devices": (("latency.target.devices=1",), "latency.target.devices=1", "at least 2"),
    "shape": (("latency.target.shape=x",), "latency.target.shape='x'", "llama31_70b"),
    "batch not in the table": (
        (LLAMA, "batch=300", "workload.prompts=300"),
        "tokens=2400",
        "covers 1 to 1024 for 'verify'",
    ),
    "workload": (("workload.prompts=0",), "workload.prompts=0", ">= 1"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_gets_one_line(name, capsys, tmp_path):
    arguments, *words = WRONG[name]
    line = refused(capsys, tmp_path / "out", *arguments)
    assert all(word in line for word in words), line


def test_out_that_cannot_be_written(capsys, tmp_path):
    file = tmp_path / "file"
    file.touch()
    for out in (file / "run", "/proc/nosuch"):
        for sweep in ((), ("-m",)):
            line = refused(capsys, out, *sweep, *TINY)
            assert line.startswith(f"out={out}: cannot be written (")


# Profiles


@pytest.fixture
def profile(tmp_path, monkeypatch):
    """Return a function that adds a profile of this content, known as `profile=mine`."""
    path = tmp_path / "mine.yaml"
    monkeypatch.setattr(config, "profile_files", lambda: profile_files() | {"mine": path})
    return path.write_text


MALFORMED = {
    "broken": ("acceptance: [", "mine.yaml is not readable"),
    "empty": ("", "needs sections among acceptance, latency"),
    "a list": ("[1, 2]", "needs sections among acceptance, latency"),
    "wrong section": ("acceptence: iid", "found acceptence"),
    "a number": ("acceptance: 3", "acceptance=3: needs the name of an option"),
    "unknown option": ("acceptance: nosuch", "acceptance=nosuch: no such option"),
    "no class": ("acceptance: {alpha: 0.5}", "needs a _target_"),
    "wrong class": ("acceptance: {_target_: ssdsim.nosuch.X}", "acceptance='ssdsim.nosuch.X'"),
    "another kind": (
        "acceptance: {_target_: ssdsim.backups.jit.Jit}",
        "acceptance: needs a Acceptance, not a Jit",
    ),
    "wrong key": (
        "acceptance: {_target_: ssdsim.acceptance.iid.Iid, alfa: 1}",
        "acceptance.alfa=1: no such option",
    ),
    "wrong nested key": (
        "acceptance: {_target_: ssdsim.acceptance.hazard.Hazard, at: {a: {rate: 1}}}",
        "acceptance.at.a.rate=1: no such option",
    ),
    "missing key": (
        "latency: {_target_: ssdsim.machine.Machine}",
        "latency.draft: needs a value, it has no default",
    ),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_profile(name, profile, capsys, tmp_path):
    content, words = MALFORMED[name]
    profile(content)
    assert words in refused(capsys, tmp_path / "out", "profile=mine")


def test_a_malformed_profile_harms_no_other(profile, tmp_path):
    profile("acceptance: [")
    assert run(f"out={tmp_path / 'out'}", *TINY) == 0


def test_a_profile_bundles_sections_and_the_command_line_wins(profile, tmp_path):
    profile(
        "acceptance: {_target_: ssdsim.acceptance.iid.Iid, alpha: 0.25}\n"
        "latency: constant\nworkload: {prompts: 2, output_tokens: 7}"
    )
    assert run(f"out={tmp_path / 'out'}", "profile=mine", "workload.output_tokens=9") == 0
    found = json.loads((tmp_path / "out/run.json").read_text())["config"]
    assert found["acceptance"]["alpha"] == 0.25
    told = {"prompts": 2, "prompt_tokens": 128, "output_tokens": 9}
    assert found["workload"] == {**told, "output_spread": 0.0, "steps": 1}
    assert found["choices"] | {"profile": "mine", "latency": "constant"} == found["choices"]


def test_profiles_beside_recorded_traces_are_found(tmp_path, monkeypatch):
    (tmp_path / "traces/recorded_here").mkdir(parents=True)
    (tmp_path / "traces/recorded_here/profile.yaml").touch()
    (tmp_path / "traces/demo").mkdir()
    (tmp_path / "traces/demo/profile.yaml").touch()
    monkeypatch.setattr("ssdsim.plugins.TRACES", tmp_path / "traces")
    assert profile_files()["recorded_here"] == tmp_path / "traces/recorded_here/profile.yaml"
    assert profile_files()["demo"] == CONF / "profile/demo.yaml"  # conf comes first


# Recorded traces


@pytest.fixture
def trace(tmp_path):
    path = tmp_path / "trace"
    record(LanguageModel(), path, [Sampling(0.0)], sequences=2, tokens=20)
    return path


def drop(table):
    return table.drop_columns(["rank"])


def poison(table):
    column = pa.array([float("nan")] * len(table))
    return table.set_column(table.column_names.index("a"), "a", column)


@pytest.mark.parametrize(("damage", "word"), [(drop, "rank"), (poison, "NaN")])
def test_damaged_trace(damage, word, trace, capsys, tmp_path):
    file = trace / "acceptance.parquet"
    pq.write_table(damage(pq.read_table(file)), file)
    arguments = ("acceptance=recorded", f"acceptance.path={trace}")
    line = refused(capsys, tmp_path / "out", *arguments)
    assert str(file) in line
    assert word in line


def test_workload_longer_than_the_trace(trace, capsys, tmp_path):
    arguments = ("acceptance=recorded", f"acceptance.path={trace}", "workload.output_tokens=21")
    line = refused(capsys, tmp_path / "out", *arguments)
    assert line.startswith("workload.output_tokens=21: ")
    assert "20 recorded tokens" in line


# Building


def test_a_plug_in_is_named_or_described():
    assert build(Backup, "ngram", "backup") == Ngram()
    assert build(Backup, {"_target_": "ngram", "longest": 2}, "backup") == Ngram(longest=2)
    nested = {"_target_": "adaptive", "slow": "jit", "fast": {"_target_": "random", "seconds": 1}}
    assert build(Backup, nested, "backup") == Adaptive(slow=Jit(), fast=Random(seconds=1.0))
    assert build(Jitter, "none", "jitter") == NoJitter()
    assert build(Jitter, {"_target_": "lognormal", "sigma": 1}, "jitter") == Lognormal(1.0)


def test_a_mapping_becomes_the_dataclass_that_the_type_names():
    constant = {"_target_": "ssdsim.latency.constant.Constant", "verify": 1, "step": 0}
    node = {"target": constant, "draft": constant, "target_power": {"busy": 2, "idle": 1}}
    machine = build(Machine, node, "latency")
    assert machine.target == Constant(verify=1.0, step=0.0)
    assert machine.target_power == Power(2.0, 1.0)
    assert machine.colocated is None
    assert isinstance(machine.target, Latency)
    assert build(Link, {"latency": 1}, "link") == Link(1.0)


@dataclass(frozen=True)
class _Counted:
    count: int
    names: tuple[str, ...] = ()


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({}, "x.count: needs a value, it has no default"),
        ({"count": 1, "other": 2}, "x.other=2: no such option; choose among count, names"),
        ({"count": True}, "x.count=True"),
        ({"count": 1, "names": ["a", 2]}, "x.names.1=2"),
        ({"count": None}, "x.count=None"),
    ],
)
def test_make_names_what_is_wrong(values, line):
    with pytest.raises(ConfigError) as error:
        make(_Counted, values, "x.")
    assert str(error.value).startswith(line)


def test_options_that_a_profile_leaves_out_can_be_set(profile, tmp_path):
    constant = "{_target_: ssdsim.latency.constant.Constant, verify: 1, step: 0.1}"
    profile(f"acceptance: iid\nlatency: {{target: {constant}, draft: {constant}}}")
    changes = ("latency.link.latency=0.5", "latency.draft.glue=0.1", "acceptance.alpha=0.5")
    assert run(f"out={tmp_path / 'out'}", "profile=mine", *changes, *TINY) == 0
    spans = load_run(tmp_path / "out").spans
    assert set(spans[spans.kind == "transfer"].eval("end - start").round(9)) == {1.0}
