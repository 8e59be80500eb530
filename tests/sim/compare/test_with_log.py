"""A run beside the log of an engine."""

import json

import pytest
from commands import exit_code, run
from engine_writers import WITHOUT_TIMES, WRITERS
from logged_rounds import Logged

from ssdsim import load_run
from ssdsim.compare import program

WORDS = (
    *("latency=constant", "acceptance=by_depth", "acceptance.accept=[0.8,0.5]", "lookahead=2"),
    *("method=speculative", "workload.prompts=20", "workload.output_tokens=100"),
)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "sd"
    run(*WORDS, f"out={out}")
    return out


def compared(monkeypatch, *words):
    return exit_code(monkeypatch, program.main, "ssdsim.compare", words)


@pytest.mark.parametrize("writer", sorted(WRITERS.keys() - WITHOUT_TIMES))
def test_a_run_is_its_own_log(directory, tmp_path, monkeypatch, writer):
    files = WRITERS[writer](Logged.of(load_run(directory), 2), tmp_path)
    to = tmp_path / "found.json"
    assert compared(monkeypatch, directory, *files, "--json", to) == 0
    figures = {f["name"]: f for f in json.loads(to.read_text())["figures"]}
    for name in ("tokens a round", "round, ms", "tokens/s of a sequence"):
        assert figures[name]["ratio"] == pytest.approx(1, rel=0.02)


def test_the_difference_in_speed_is_divided_into_tokens_and_seconds(
    directory, tmp_path, monkeypatch, capsys
):
    log = Logged.of(load_run(directory), 2)
    (path,) = WRITERS["spec_bench"](log, tmp_path)
    slower = [json.loads(line) for line in path.read_text().splitlines()]
    for answer in slower:
        (choice,) = answer["choices"]
        choice["wall_time"] = [2 * choice["wall_time"][0]]
    path.write_text("\n".join(map(json.dumps, slower)))
    assert compared(monkeypatch, directory, path) == 0
    assert "tokens/s 2.0" in capsys.readouterr().out


def test_bad_input_gets_one_line(directory, tmp_path, monkeypatch, capsys):
    (tmp_path / "a.log").write_text("nothing of an engine\n")
    assert compared(monkeypatch, directory, tmp_path / "a.log") == 2
    assert "of no format that is known" in capsys.readouterr().err
    assert compared(monkeypatch, tmp_path / "a.log", tmp_path / "a.log") == 2
    assert "one run directory" in capsys.readouterr().err
    assert compared(monkeypatch, directory, directory, tmp_path / "a.log") == 2
    assert "one run directory" in capsys.readouterr().err
