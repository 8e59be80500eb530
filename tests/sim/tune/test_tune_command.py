"""`python -m ssdsim.tune` as a user meets it."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from shutil import copytree

import pytest
import yaml
from commands import exit_code, refusal, run
from patience import PATIENCE, wait_until

from ssdsim import load_run
from ssdsim.tune import program
from ssdsim.tune.help import text
from ssdsim.tune.options import TuneOptions

TINY = (
    "profile=demo",
    "workload.prompts=4",
    "workload.output_tokens=24",
    "hydra/launcher=basic",
    "method=autoregressive,speculative,ssd",
    "lookahead=2,4,6,8",
    "policy=uniform_fanout",
    "policy.fanout=1,3",
    "backup=jit",
    "length=fixed",
    "tree=chain",
    "drafter=model",
    "tune.worlds=4",
    "tune.finalists=3",
    "tune.asked=4",
)


def tune(*arguments):
    """Run `python -m ssdsim.tune ARGUMENTS` in this process, and return its exit code."""
    with pytest.MonkeyPatch.context() as patch:
        return exit_code(patch, lambda: program.main(arguments), "ssdsim.tune", arguments)


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """Return the folder of a small tuning."""
    folder = tmp_path_factory.mktemp("tuned") / "out"
    assert tune(*TINY, f"tune.folder={folder}") == 0
    return folder


def told(folder):
    return json.loads((folder / "tune.json").read_text())


def lines(folder):
    return (folder / "evaluations.jsonl").read_text().splitlines()


def test_it_leaves_a_choice_what_it_found_and_a_picture(tuned):
    files = {file.name for file in tuned.iterdir()}
    assert files == {"tuned.yaml", "tune.json", "tune.png", "evaluations.jsonl"}
    found = told(tuned)
    fastest = max(found["candidates"], key=lambda one: one["tokens_per_s"])
    assert fastest["options"].startswith("method=ssd ")
    assert {one["options"].split()[0] for one in found["candidates"]} == {
        "method=autoregressive",
        "method=speculative",
        "method=ssd",
    }
    assert 0 < found["candidates"][0]["probability_best"] <= 1
    assert found["evaluations"] == len(lines(tuned))
    assert found["screened_exactly"] > 0
    assert found["refused"] == {}


def test_both_commands_take_what_was_chosen(tuned, tmp_path):
    chosen = yaml.safe_load((tuned / "tuned.yaml").read_text())
    small = ("workload.prompts=2", "workload.output_tokens=8")
    assert run(f"tuned={tuned}/tuned.yaml", *small, f"out={tmp_path}/run") == 0
    info = load_run(tmp_path / "run").info
    assert f"method={info['method']}" in chosen["common"]
    assert f"lookahead={info['config']['lookahead']}" in chosen["common"]
    assert "profile=demo" in chosen["simulated"]


def test_real_models_take_what_is_common(tuned):
    from ssdsim.command.tuned import with_tuned

    taken = with_tuned(["pair=smollm2", f"tuned={tuned}/tuned.yaml"], ["common"])
    assert taken[0] == "pair=smollm2"
    assert any(word.startswith("method=") for word in taken)
    assert not any(word.startswith(("profile=", "workload.")) for word in taken)


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "needs the tuned.yaml of a tuning"), ("a: 1", "needs the tuned.yaml of a tuning")],
)
def test_a_file_of_something_else_is_refused(content, said, tmp_path, capsys):
    file = tmp_path / "tuned.yaml"
    if content:
        file.write_text(content)
    out = tmp_path / "out"
    assert said in refusal(capsys, out, lambda: run(f"tuned={file}", f"out={out}"))


@pytest.mark.slow
def test_the_same_command_goes_on_from_what_it_has(tuned, tmp_path):
    copytree(tuned, tmp_path / "copy")
    kept = lines(tuned)
    file = tmp_path / "copy" / "evaluations.jsonl"
    file.write_text("\n".join(kept[: len(kept) // 2]) + "\n")
    assert tune(*TINY, f"tune.folder={tmp_path / 'copy'}") == 0
    assert sorted(lines(tmp_path / "copy")) == sorted(kept)
    assert (tmp_path / "copy" / "tuned.yaml").read_text() == (tuned / "tuned.yaml").read_text()
    assert told(tmp_path / "copy") == told(tuned)


# For each option a change, and what it changes of tune.json or of what is evaluated.
CHANGES = {
    "asked": "1",
    "finalists": "2",
    "worlds": "2",
    "devices": "64",
    "confidence": "0.05",
    "acceptance_error": "0.2",
    "time_error": "0.3",
    "seed": "3",
}
LEARNING = (
    "policy=uniform_fanout,topk_outcomes",
    "policy.budget=4,8,16,24",
    "lookahead=range(1,13)",
)
WITH = {
    "asked": LEARNING,  # which no exact expectation covers
    "devices": ("method=autoregressive,dsi,ssd",),
    "seed": LEARNING,
}
INTERRUPTED = "ssdsim.tune: interrupted; the same command goes on from what is evaluated\n"


def test_every_option_has_a_case():
    assert {*CHANGES, "folder"} == {field.name for field in fields(TuneOptions)}


@pytest.mark.slow
@pytest.mark.parametrize("option", CHANGES)
def test_every_option_changes_what_comes_out(option, tuned, tmp_path):
    words = [word for word in TINY if not word.startswith(f"tune.{option}=")]
    shown = [*words, *WITH.get(option, ())]
    before = tuned
    if option in WITH:
        before = tmp_path / "before"
        assert tune(*shown, f"tune.folder={before}") == 0
    assert tune(*shown, f"tune.{option}={CHANGES[option]}", f"tune.folder={tmp_path / 'out'}") == 0
    assert told(tmp_path / "out") != told(before) or lines(tmp_path / "out") != lines(before)


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("tune.asked=-1", "tune.asked=-1: needs a number >= 0"),
        ("tune.finalists=1", "tune.finalists=1: needs a number >= 2"),
        ("tune.worlds=many", "tune.worlds='many': needs a number >= 2"),
        ("tune.confidence=0", "tune.confidence=0: needs a number above 0"),
        ("tune.acceptance_error=1", "tune.acceptance_error=1: needs a number from 0"),
        ("tune.time_error=-0.1", "tune.time_error=-0.1: needs a number from 0"),
        ("tune.seed=1.5", "tune.seed=1.5: needs a number >= 0"),
        ("tune.nonsense=1", "tune.nonsense=1: no such option; choose among asked"),
        ("tune.seed=1,2", "tune.seed: needs a single value"),
        ("out=here", "out=here: has no effect"),
        ("overwrite=true", "overwrite=true: has no effect"),
        ("keep=best", "keep=best: has no effect"),
        ("page.texts=false", "page.texts=false: has no effect"),
        ("=3", "=3: needs the form OPTION=VALUE"),
        ("policy=nobody", "policy='nobody': needs the name of an option among"),
        ("method.nonsense=1", "has no effect, no method that is tried has such an option"),
        ("profile=nobody", "profile"),
        ("batch=0", "batch=0"),
        ("nonsense=1", "nonsense"),
        ("lookahead", "lookahead"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(argument, said, tmp_path, capsys):
    out = tmp_path / "out"
    words = [argument, f"tune.folder={out}"]
    capsys.readouterr()
    assert tune(*words) == 2
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    assert said in printed.err
    assert not out.exists()


def test_nothing_left_to_choose_among_is_an_error(tmp_path, capsys):
    out = tmp_path / "out"
    assert tune(*TINY[:4], "method=ssd", "backup=ngram", "lookahead=3", f"tune.folder={out}") == 2
    err = capsys.readouterr().err
    assert "backup='ngram': needs an acceptance source with token ids" in err
    assert err.count("\n") == 1


def test_the_help_is_light_and_lists_every_option():
    page = text()
    for field in fields(TuneOptions):
        assert f"tune.{field.name}=" in page
    code = """
import sys
sys.argv = ["ssdsim.tune", "--help"]
from ssdsim.tune.__main__ import main
main()
heavy = {"torch", "pandas", "matplotlib", "optuna", "scipy.stats", "hydra", "rich"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - the above


def test_defaults_that_the_help_tells_are_those():
    page, errors = text(), {"acceptance_error": 0.02, "time_error": 0.05}
    for field in fields(TuneOptions):
        if field.name not in {"folder", "devices"}:
            default = errors.get(field.name, field.default)
            assert f"tune.{field.name}={default}" in page.split()


def command(*arguments):
    return subprocess.Popen(  # noqa: S603 - this very command
        [sys.executable, "-m", "ssdsim.tune", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # as a terminal's shell has it: Ctrl-C is for all its processes
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("launcher", "send"), [("basic", os.kill), ("joblib", os.kill), ("joblib", os.killpg)]
)
def test_an_interrupted_tuning_goes_on(launcher, send, tmp_path):
    out = tmp_path / "out"
    words = (
        *(word for word in TINY if not word.startswith(("hydra/", "workload.output"))),
        f"hydra/launcher={launcher}",
        "workload.output_tokens=2000",
        f"tune.folder={out}",
    )
    process = command(*words)
    kept = out / "evaluations.jsonl"
    wait_until(lambda: (kept.exists() and len(lines(out)) > 6) or process.poll() is not None)
    send(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (130, INTERRUPTED)
    first = lines(out)
    assert not (out / "tuned.yaml").exists()
    assert not list(out.glob(".chunks.*"))
    again = command(*words)
    _, err = again.communicate(timeout=PATIENCE)
    assert (again.returncode, err) == (0, "")
    assert lines(out)[: len(first)] == first
    assert len({line.partition('"figures"')[0] for line in lines(out)}) == len(lines(out))
    assert (out / "tune.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_by_default_everything_goes_where_the_question_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = (*TINY[:4], "method=autoregressive", "tune.worlds=2")
    assert tune(*small) == 0
    (folder,) = Path("outputs/tune").iterdir()
    assert tune(*reversed(small)) == 0
    assert list(Path("outputs/tune").iterdir()) == [folder]
