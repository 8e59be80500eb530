"""Profiles: what they bundle, where they are found, and what is said of malformed ones."""

import json

import pytest
from commands import TINY, refused, run

from ssdsim import load_run
from ssdsim.command import config
from ssdsim.options.plugins import profile_files
from ssdsim.system.package_data import CONF

LLAMA = "profile=h100x4_llama70b_1b"


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
        "acceptance='ssdsim.backups.jit.Jit': no such kind; choose among by_depth",
    ),
    "a program": ("latency: {_target_: os.system}", "latency='os.system': no such kind"),
    "wrong key": (
        "acceptance: {_target_: ssdsim.acceptance.iid.Iid, alfa: 1}",
        "acceptance.alfa=1: no such option",
    ),
    "wrong nested key": (
        "acceptance: {_target_: hazard, at: {a: {rate: 1}}}",
        "acceptance.at.a.rate=1: no such option",
    ),
    "missing key": (
        "latency: {_target_: machine}",
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
    assert found["workload"] == {**told, "output_spread": 0.0, "steps": 1, "concurrency": None}
    assert found["choices"] | {"profile": "mine", "latency": "constant"} == found["choices"]


def test_profiles_beside_recorded_traces_are_found(tmp_path, monkeypatch):
    (tmp_path / "traces/recorded_here").mkdir(parents=True)
    (tmp_path / "traces/recorded_here/profile.yaml").touch()
    (tmp_path / "traces/demo").mkdir()
    (tmp_path / "traces/demo/profile.yaml").touch()
    monkeypatch.setattr("ssdsim.options.plugins.TRACES", tmp_path / "traces")
    assert profile_files()["recorded_here"] == tmp_path / "traces/recorded_here/profile.yaml"
    assert profile_files()["demo"] == CONF / "profile/demo.yaml"  # conf comes first


def test_options_that_a_profile_leaves_out_can_be_set(profile, tmp_path):
    constant = "{_target_: constant, verify: 1, step: 0.1}"
    profile(f"acceptance: iid\nlatency: {{target: {constant}, draft: {constant}}}")
    changes = ("latency.link.latency=0.5", "latency.draft.glue=0.1", "acceptance.alpha=0.5")
    assert run(f"out={tmp_path / 'out'}", "profile=mine", *changes, *TINY) == 0
    spans = load_run(tmp_path / "out").spans
    assert set(spans[spans.kind == "transfer"].eval("end - start").round(9)) == {1.0}
