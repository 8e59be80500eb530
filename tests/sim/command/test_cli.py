"""The command as a user meets it: help, and the run directory."""

import json
import re
import subprocess
import sys
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

import pytest
from commands import TINY, command, run
from contract import DETAILED, INFO, METRICS, SPEEDUPS
from patience import PATIENCE

from ssdsim import load_run
from ssdsim.command.help import text
from ssdsim.options.plugins import GROUPS, options, plugins
from ssdsim.run.tables import ROUNDS, SEQUENCES, SPANS


def tables(directory):
    names = ("rounds", "spans", "sequences")
    return {name: (Path(directory) / f"{name}.parquet").read_bytes() for name in names}


# Help


def test_help_is_quick_and_light():
    code = """
import sys
sys.argv = ["ssdsim", "--help"]
from ssdsim.command.entry import enter
enter("ssdsim")
heavy = {"torch", "pandas", "matplotlib", "scipy.stats", "hydra", "rich"} & set(sys.modules)
assert not heavy, heavy
"""
    before = getrusage(RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - the above
    after = getrusage(RUSAGE_CHILDREN)  # of the processor: the machine may be busy
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1


@pytest.mark.parametrize("group", GROUPS)
def test_help_lists_every_plug_in_with_its_options(group):
    lines = [line.strip() for line in text().splitlines()]
    for name, plugin in plugins(group).items():
        assert any(line.startswith(f"{name} ") for line in lines), name
        for field in options(plugin):
            starts = (f"{group}.{field.name}=", f"{group}.{field.name} (required)")
            assert any(line.startswith(starts) for line in lines), field.name


def test_help_says_what_is_required_and_how_plug_ins_nest():
    page = text()
    assert "acceptance.path (required)" in page
    assert "policy.fanout=[4,3,3,2,2]" in page
    assert "backup.fast=random" in page
    assert "_target_: ngram" in page
    assert "latency.link.latency=" in page


@pytest.mark.parametrize("columns", ["60", "100", "200"])
def test_help_fits_the_terminal(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    plain = [line for line in text().splitlines() if "python -m" not in line and "{" not in line]
    assert max(map(len, plain)) <= max(95, int(columns))


# The run directory


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Run the command once, as a process, from a directory of its own."""
    here = tmp_path_factory.mktemp("here")
    process = command("latency=constant", "acceptance=iid", *TINY, cwd=here)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    (directory,) = (here / "outputs").glob("*/*")
    return directory, out, err


def test_files(finished):
    directory, _, err = finished
    assert {path.name for path in directory.iterdir()} == DETAILED
    assert (directory / "timeline.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((directory / "timeline.json").read_text())["traceEvents"]
    assert not err  # no progress bar in a pipe


def test_info(finished):
    directory, _, _ = finished
    info = json.loads((directory / "run.json").read_text())
    assert set(INFO) <= set(info)
    assert set(METRICS) <= set(info["metrics"])
    assert (info["complete"], info["source"], info["seed"]) == (True, "sim", 0)
    assert (info["method"], info["policy"]) == ("ssd", "topk_outcomes")
    assert info["config"]["choices"]["acceptance"] == "iid"
    assert Path(info["config"]["out"]).name == directory.name
    assert all(info["metrics"][name] > 0 for name in SPEEDUPS[:2])
    assert {"ar", "sd"} <= set(info["baselines"])
    assert all(other["tokens_per_s"] > 0 for other in info["baselines"].values())


def test_tables(finished):
    run_ = load_run(finished[0])
    for name, schema in (("rounds", ROUNDS), ("sequences", SEQUENCES), ("spans", SPANS)):
        assert run_.tables[name].schema.names == schema.names
        assert len(run_.tables[name])
    assert run_.sequences.tokens.tolist() == [24] * 4


def test_what_is_printed(finished):
    directory, out, _ = finished
    assert f"run directory: outputs/{directory.parent.name}/{directory.name}\n" in out
    for word in (
        "AR",
        "best SD",
        "ssd, K=7",
        "topk_outcomes",
        "tokens/s",
        "hit rate",
        "after a hit",
    ):
        assert word in out
    assert max(map(len, out.splitlines())) <= 80


def test_same_seed_same_bytes(finished, tmp_path):
    again, other = tmp_path / "again", tmp_path / "other"
    assert run("latency=constant", "acceptance=iid", *TINY, f"out={again}") == 0
    assert run("latency=constant", "acceptance=iid", *TINY, "seed=1", f"out={other}") == 0
    assert tables(again) == tables(finished[0])
    assert tables(other)["rounds"] != tables(again)["rounds"]


def test_a_bad_lookahead_is_named_below_the_table(capsys, tmp_path):
    bad = ("acceptance=iid", "acceptance.alpha=0.3", "latency=roofline", *TINY)
    assert run(*bad, f"out={tmp_path}") == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "would make" in line)
    assert re.fullmatch(
        r"K=\d would make 1\.\d\d × AR, K=7 makes 1\.\d\d "
        r"\(exact expectation, budget spread evenly\)",
        line,
    )


@pytest.mark.parametrize(
    ("method", "columns", "rows"),
    [
        ("autoregressive", ["AR", "K="], {"after a hit", "hit rate"}),
        ("speculative", ["AR", "K=", "speculative, K=7"], {"after a hit", "hit rate"}),
    ],
)
def test_other_methods_print_what_they_have(method, columns, rows, capsys, tmp_path):
    assert run(f"method={method}", *TINY, f"out={tmp_path}") == 0
    out = capsys.readouterr().out
    heading = next(line for line in out.splitlines() if " AR" in line)
    assert len(heading.replace(", ", ",").split()) == len(columns)
    assert all(column in heading for column in columns)
    assert not any(row in out for row in rows)


def test_a_setup_is_compared_where_its_policy_fits_no_other_lookahead(tmp_path):
    arguments = ("policy=fixed_fanout", "policy.fanout=[2,2,2,2]", "lookahead=3")
    assert run(*arguments, *TINY, f"out={tmp_path}") == 0
    assert load_run(tmp_path).metrics["speedup_over_sd"] > 0


def test_a_baseline_that_the_times_do_not_cover_is_null(tmp_path):
    steps = "latency.draft.passes.step.tokens=[5,6]"
    colocated = "latency.colocated.passes.step.tokens=[5,6]"
    profile = "profile=h100x4_llama70b_1b"
    arguments = (profile, "method=autoregressive", colocated, f"out={tmp_path}")
    assert run(*arguments, *TINY) == 0
    metrics = load_run(tmp_path).metrics
    assert metrics["speedup_over_ar"] == 1
    assert metrics["speedup_over_sd"] is None
    assert run(profile, steps, *TINY, f"out={tmp_path / 'refused'}") == 2


@pytest.mark.parametrize(
    ("method", "whose"),
    [
        ("jacobi", "the target's guesses behind a wrong token"),
        ("self_speculative", "the tokens of the target with layers left out"),
        ("streaming", "the tokens of streams"),
        ("ctc_draft", "the encoder's tokens"),
        ("ssd", ""),
    ],
)
def test_a_method_without_a_draft_model_says_what_is_assumed_of_its_acceptance(
    method, whose, tmp_path, capsys
):
    assert run(f"method={method}", *TINY, f"out={tmp_path / 'run'}") == 0
    line = f"assumed: {whose} are accepted as often as the draft's"
    assert (line in capsys.readouterr().out) == bool(whose)
