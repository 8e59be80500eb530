"""What a split may hold, and where a validation's results go."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from ssdreal.executor.workload import Task
from ssdreal.profile.split import HELD_OUT, Part, read_split
from ssdreal.validate import program as validate
from ssdreal.validate.configurations import FIXED, _check_applied, configurations
from ssdreal.validate.program import question
from ssdsim.acceptance.recorded import Recorded
from ssdsim.errors import ConfigError
from ssdsim.system.package_data import TRACES

PART = {"prompts": [["chat-09"]], "configurations": {"ar": "method=autoregressive"}}
FIT = yaml.safe_load(HELD_OUT.read_text())["fit"]

# What a split holds, and what the one line must say.

WRONG = {
    "nothing": ({}, "needs the sections of a split"),
    "a number": (3, "not readable as a split"),
    "a list": ([PART], "holds a list"),
    "a section of null": ({"test": None}, "test is null"),
    "a section of a number": ({"test": 3}, "test is a number"),
    "an empty section": ({"test": {}}, "test.prompts: needs a value"),
    "an unknown key": ({"test": PART | {"promts": []}}, "test.promts=[]: no such option"),
    "prompts of null": ({"test": PART | {"prompts": None}}, "test.prompts=None"),
    "a name for prompts": ({"test": PART | {"prompts": "chat-09"}}, "test.prompts='chat-09'"),
    "no groups": ({"test": PART | {"prompts": ["chat-09"]}}, "test.prompts"),
    "no prompts": ({"test": PART | {"prompts": []}}, "test.prompts=[]: needs names"),
    "an empty group": (
        {"test": PART | {"prompts": [["chat-09"], []]}},
        "groups that are not empty",
    ),
    "numbers for prompts": ({"test": PART | {"prompts": [[1]]}}, "test.prompts"),
    "a prompt twice": ({"test": PART | {"prompts": [["chat-09"], ["chat-09"]]}}, "there twice"),
    "a prompt that is fitted to": ({"test": PART | {"prompts": [["chat-01"]]}}, "fitted to"),
    "no configurations": ({"test": PART | {"configurations": {}}}, "needs a configuration"),
    "configurations of null": ({"test": PART | {"configurations": None}}, "configurations=None"),
    "a list of them": ({"test": PART | {"configurations": ["a"]}}, "configurations=['a']"),
    "a number for one": ({"test": PART | {"configurations": {"a": 3}}}, "configurations.a=3"),
    "a path for one": ({"test": PART | {"configurations": {"a/b": ""}}}, "configurations='a/b'"),
    "dots for one": ({"test": PART | {"configurations": {"..": ""}}}, "configurations='..'"),
    "a path for a section": ({"../test": PART}, "section='../test'"),
    "a number for baselines": ({"test": PART, "baselines": 3}, "baselines=3"),
    "baselines of null": ({"test": PART, "baselines": None}, "baselines=None"),
    "an unknown baseline": (
        {"test": PART, "baselines": ["sd"]},
        "baselines=['sd']: must be among ar",
    ),
    "nothing but what is fitted to": ({"fit": FIT}, "needs a section besides"),
    "a fit of null": ({"test": PART, "fit": None}, "fit is null"),
    "a word for a batch": ({"test": PART, "fit": FIT | {"batch": "four"}}, "fit.batch='four'"),
    "a batch of none": ({"test": PART, "fit": FIT | {"batch": 0}}, "fit.batch=0"),
    "no lookaheads": ({"test": PART, "fit": FIT | {"lookaheads": []}}, "fit.lookaheads=[]"),
    "a cold temperature": (
        {"test": PART, "fit": FIT | {"temperatures": [-1.0]}},
        "temperatures=-1",
    ),
    "an odd constant": ({"test": PART, "fit": FIT | {"saguaro": [[2.0, 3]]}}, "fit.saguaro="),
    "half a setting": ({"test": PART, "fit": FIT | {"saguaro": [[0.5]]}}, "fit.saguaro"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_split_is_refused_in_one_line(name, tmp_path):
    content, words = WRONG[name]
    file = tmp_path / "odd.yaml"
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError) as refused:
        read_split(str(file))
    assert str(refused.value).startswith(f"--split={file}: ")
    assert words in str(refused.value)


@pytest.mark.parametrize(
    "content",
    [
        b"test: {prompts: [[chat-09]]}\ntest: {prompts: [[chat-10]]}",
        b"test:\n  prompts: [[chat-09]]\n  configurations: {a: x=1, a: x=2}",
        b"\xff\xfe",
        b"- [" * 3000,
        b"a: !!python/object:os.system x",
        b"test: {prompts: [[chat-09]], configurations: {a: '${b'}}",
    ],
)
def test_a_file_that_cannot_be_read_as_one_is_refused(content, tmp_path):
    file = tmp_path / "odd.yaml"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=f"^--split={file}: "):
        read_split(str(file))


@pytest.mark.parametrize("name", ["held_out", "couplings"])
def test_the_project_s_own_splits_choose_what_is_theirs(name):
    split = read_split(name)
    for part in split.parts.values():
        for overrides in part.configurations.values():
            _check_applied([word.partition("=")[0] for word in overrides.split()])


def made(overrides):
    part = {"test": Part([["chat-09"]], {"one": overrides})}
    return configurations(part, [], {"test": [Task("a", "a", [1])]}, 8)


def test_every_option_is_either_applied_or_refused():
    from ssdreal.command.config import KEYS

    applied = (
        "method policy drafter backup length tree lookahead batch "
        "temperature coupling top_k top_p saguaro"
    )
    assert set(KEYS[""]) - set(FIXED) == set(applied.split())


@pytest.mark.parametrize(
    "option",
    [
        *("pair=tiny", "pair.target=tiny_target", "dtype=float32", "prompts=x", "out=x", "seed=3"),
        *("workload.prompts=1", "workload.output_tokens=9", "workload.stop_at_end=true"),
        *("topology=cpu", "split=0.5", "passes=eager", "texts=true", "acceptance=iid", "+seed=3"),
        *("++seed=3", "~pair", "hydra.run.dir=x", "hydra/launcher=joblib", "workload@x=real"),
    ],
)
def test_options_that_would_not_be_applied_are_refused(option):
    with pytest.raises(ConfigError, match=r"^test/one: [\w.@/]+: has no effect here, "):
        made(f"method=autoregressive {option}")


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ("polcy=x", "polcy"),
        ("method=nosuch", "method=nosuch: no such option; choose among"),
        ("lookahead=1,2", "to try several values add -m"),
        ("lookahead", "OPTION=VALUE"),
        ("policy.fanout='[1", "No closing quotation"),
        ("lookahead=${nosuch}", "nosuch"),
        ("temperature=nan", "temperature=nan"),
    ],
)
def test_overrides_that_cannot_be_are_refused_with_their_names(overrides, words):
    with pytest.raises(ConfigError, match=r"^test/one: ") as refused:
        made(overrides)
    assert words in str(refused.value)


def test_overrides_are_split_as_a_shell_does():
    (one,) = made("policy=fixed_fanout 'policy.fanout=[2, 2]' lookahead=1")
    assert list(one.setup.policy.fanout) == [2, 2]


SPOKEN = "method=two_phase method.exit=0.5 method.second=exit_target"


@pytest.mark.parametrize(
    ("overrides", "layer"),
    [
        (SPOKEN, 15),
        (SPOKEN.replace("0.5", "0.79"), 24),
        (SPOKEN.replace("0.5", "1.0"), None),  # nobody hears it
        ("method=two_phase method.exit=0.5", None),  # it says only that it has come so far
        ("method=ssd", None),
    ],
)
def test_predicted_is_the_layer_that_the_run_s_target_speaks_after(overrides, layer):
    (one,) = made(overrides)
    folder = SimpleNamespace(acceptance=Recorded("folder"), machine=None)
    found = one.heard(30, [15, 24]).simulated(folder).acceptance
    assert found == Recorded("folder", exit_layer=layer)


def test_a_layer_that_the_profile_has_not_recorded_is_refused():
    (one,) = made(SPOKEN)
    right = r"after layer 15, .* \(it has \[14, 24\]\); ssdreal.profile --exits records them"
    with pytest.raises(ConfigError, match=rf"^test/one: method.exit=0\.5: .* {right}"):
        one.heard(30, [14, 24])


@pytest.fixture
def profile(tmp_path, monkeypatch):
    """Return the folder of a profile that has been validated, as the committed one is."""
    monkeypatch.setattr(validate, "TRACES", tmp_path / "traces")
    monkeypatch.chdir(tmp_path)
    return shutil.copytree(TRACES / "two_cores", tmp_path / "traces" / "two_cores")


def asked(*arguments):
    return question(["--profile", "two_cores", *arguments])


@pytest.mark.parametrize(
    "arguments", [("--quick",), ("--repeats", "2"), ("--tokens", "8"), ("--split", "couplings")]
)
@pytest.mark.usefixtures("profile")
def test_a_look_and_other_splits_are_kept_elsewhere(arguments):
    first, second = asked(*arguments), asked(*arguments)
    assert first.out.parts[0] == "outputs"
    assert first.out != second.out
    assert asked(*arguments, "--out", "here").file == Path("here") / first.file.name


@pytest.mark.usefixtures("profile")
def test_own_prompts_are_decoded_by_all_but_what_is_fitted_to(tmp_path):
    file = tmp_path / "mine.csv"
    file.write_text("name,prompt\na,One?\nb,Two?\nc,Three?\n")
    found = asked("--prompts", str(file))
    assert found.out.parts[0] == "outputs"
    assert [prompt.text for prompt in found.texts("test")] == ["One?", "Two?", "Three?"]
    assert found.texts("new_kind") == found.texts("test")
    assert len(found.texts("fit")) == 24
    assert [prompt.name for prompt in asked("--quick", "--prompts", str(file)).texts("test")] == [
        "a",
        "b",
    ]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read (No such file"),
        ("", "holds no prompt"),
        ('{"prompt": 3}', "mine.jsonl: line 1"),
        ("{text}", "--prompts=['line 2']: the profile two_cores was made with them, needs others"),
    ],
)
def test_own_prompts_that_cannot_be_are_refused(content, words, profile, tmp_path, capsys):
    (known,) = [one.text for one in read_split().fit.read() if one.name == "chat-01"]
    file = tmp_path / "mine.jsonl"
    if content is not None:
        file.write_text(content.replace("{text}", "New?\n" + known))
    with pytest.raises(SystemExit) as ended:
        validate.main(["--profile", profile.name, "--prompts", str(file)])
    assert ended.value.code == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert words in line
    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize("left", ["held_out.json", "runs"])
def test_a_validation_is_written_over_nothing(left, profile):
    with pytest.raises(ConfigError, match=r"^--out=.*two_cores: holds .*; .*add --overwrite"):
        asked()
    assert asked("--overwrite").out == profile
    for path in (profile / "held_out.json", profile / "runs"):
        if path.name != left:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(ConfigError, match=r"add --overwrite"):
        asked()
    shutil.rmtree(profile / left, ignore_errors=True)
    (profile / "held_out.json").unlink(missing_ok=True)
    assert asked().out == profile


def test_other_runs_beside_a_profile_are_none_of_a_split_s(profile):
    (profile / "couplings.json").unlink()
    shutil.rmtree(profile / "runs" / "study")
    assert asked("--split", "couplings", "--out", str(profile)).out == profile


def test_a_look_is_never_kept_beside_the_profile(profile):
    for arguments in (("--quick",), ("--repeats", "2", "--overwrite")):
        with pytest.raises(ConfigError, match=r"^--out=.*: holds the profile; a look"):
            asked(*arguments, "--out", str(profile))


def test_a_split_by_another_path_is_the_frozen_one_all_the_same(profile):
    assert asked("--split", str(HELD_OUT), "--overwrite").out == profile
    copy = shutil.copy(HELD_OUT, profile.parent / "held_out.yaml")
    assert asked("--split", str(copy)).out.parts[0] == "outputs"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ("--tokens", "99999"),
            "test/ar: --tokens=99999: the models' context of 8192 has room for",
        ),
        (("--quick", "--out", "/dev/null"), "--out=/dev/null: cannot be written (Not a directory)"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_predicted(
    arguments, words, profile, tmp_path, capsys
):
    small = tmp_path / "small.yaml"
    small.write_text(yaml.safe_dump({"test": PART}))
    with pytest.raises(SystemExit) as ended:
        validate.main(["--profile", profile.name, "--split", str(small), *arguments])
    assert ended.value.code == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "outputs").exists()


def test_an_early_view_that_nobody_recorded_is_refused_before_anything_is_predicted(
    profile, tmp_path, capsys
):
    small = tmp_path / "small.yaml"
    small.write_text(yaml.safe_dump({"test": PART | {"configurations": {"early": SPOKEN}}}))
    with pytest.raises(SystemExit) as ended:
        validate.main(["--profile", profile.name, "--split", str(small)])
    assert ended.value.code == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert "test/early: method.exit=0.5: the target speaks after layer 15, of which" in line
    assert not (tmp_path / "outputs").exists()
