"""The command line of `python -m ssdsim.observe`."""

import json
from pathlib import Path

import pytest
from commands import exit_code

from ssdsim.observe import program

LOGS = Path(__file__).parents[2] / "support" / "engine_logs"
METRICS = [str(LOGS / f"vllm_metrics_t{at}.prom") for at in (0, 60)]

pytestmark = pytest.mark.usefixtures("traces")


def observed(monkeypatch, *arguments):
    return exit_code(monkeypatch, program.main, "ssdsim.observe", arguments)


@pytest.mark.parametrize(
    ("words", "right"),
    [
        ((), "needs --from FILE"),
        (("--from", "nowhere.log"), "a file that is there"),
        (("--from", METRICS[0], "--name", "a/b"), "needs letters"),
        (("--from", METRICS[0], "--draft-step", "0"), "needs seconds > 0"),
        (("--from", METRICS[0], "--seconds", "x"), "invalid float"),
        (("--url", "ftp://there"), "needs an address"),
        (("--ask", "http://localhost:1"), "needs --texts"),
        (("--frm", "x"), "unrecognized"),
    ],
)
def test_bad_input_gets_one_line(monkeypatch, capsys, words, right):
    assert observed(monkeypatch, *words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert right in line


def test_json_has_what_was_inferred_and_the_checks(monkeypatch, capsys):
    assert observed(monkeypatch, "--from", *METRICS, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["vllm_metrics"]["K"] == said["K"] == 3
    assert all(gate["passed"] for gate in said["gates"])


def test_the_report_says_what_is_not_known(monkeypatch, capsys):
    assert observed(monkeypatch, "--from", str(LOGS / "trace_rounds.csv"), "--name", "mine") == 0
    out = capsys.readouterr().out
    assert "latency=roofline computes them" in out
    assert "python -m ssdsim profile=mine lookahead=3" in out
