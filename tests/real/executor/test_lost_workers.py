"""Workers that are lost while models run.

There is one clear line and the right exit code, the run directory parses, what was computed is
kept, and no process is left. It is tried on threads that do what the worker processes do;
`test_processes.py` kills real ones.
"""

import pytest
from faults import ENDS, GUMBEL, SERVERS, at_call, raises, tokens, undisturbed
from real_commands import SSD, TINY, Threads, run

from ssdreal.serving.draft_server import DraftServer
from ssdreal.serving.target_server import TargetServer
from ssdreal.workers import process
from ssdsim import load_run

pytestmark = pytest.mark.usefixtures("nothing_left")


# The draft


@pytest.mark.slow
@pytest.mark.usefixtures("alone", "hosting")
@pytest.mark.parametrize("decoding", [(), GUMBEL], ids=["greedy", "gumbel"])
@pytest.mark.parametrize(
    ("command", "number", "end"),
    [
        ("begin", 1, "memory"),
        ("prefill", 2, "killed"),
        ("speculate", 1, "error"),
        ("fork", 3, "torch's memory"),
        ("grow", 2, "killed"),
    ],
)
def test_without_its_draft_a_run_goes_on(
    command, number, end, decoding, monkeypatch, capsys, tmp_path
):
    (error, reason), whole = ENDS[end], undisturbed(decoding)
    at_call(monkeypatch, DraftServer, command, {number}, raises(error))
    assert run(*SSD, *decoding, f"out={tmp_path}", hire=Threads) == 0
    assert f"the draft was lost ({reason}): decoded without drafts" in capsys.readouterr().out
    found = load_run(tmp_path)
    assert found.info["complete"]
    assert found.info["draft_lost"] == reason
    assert tokens(tmp_path) == whole
    assert found.rounds.speculator.iloc[-1] == "none"
    verifies = found.spans[(found.spans.kind == "verify") & (found.spans.tokens == 1)]
    assert len(verifies)


def test_the_baselines_get_a_new_draft(crews, monkeypatch, tmp_path):
    at_call(monkeypatch, DraftServer, "grow", {2}, raises(EOFError()))
    assert run(*SSD, f"out={tmp_path}", hire=Threads) == 0
    found = load_run(tmp_path)
    assert found.info["draft_lost"]
    assert {"ar", "sd"} <= set(found.info["baselines"])
    assert found.metrics["token_mismatches"] == 0
    assert len(crews) == 2


def test_a_baseline_without_its_draft_is_measured_again(crews, monkeypatch, tmp_path):
    arguments = (*TINY, "method=autoregressive", f"out={tmp_path}")
    at_call(monkeypatch, DraftServer, "speculate", {3}, raises(EOFError()))
    assert run(*arguments, hire=Threads) == 0
    found = load_run(tmp_path)
    assert {"ar", "sd"} <= set(found.info["baselines"])
    assert found.info["draft_lost"] is None
    assert len(crews) == 2


def test_a_draft_that_is_lost_again_and_again(crews, monkeypatch, capsys, tmp_path):
    at_call(monkeypatch, DraftServer, "speculate", range(3, 9), raises(EOFError()))
    assert run(*TINY, "method=autoregressive", f"out={tmp_path}", hire=Threads) == 1
    line = capsys.readouterr().err
    assert line.startswith("ssdreal: the draft worker is gone: its process was killed")
    assert line.endswith(f"; what was computed is in {tmp_path}\n")
    found = load_run(tmp_path)
    assert found.info["complete"]
    assert set(found.info["baselines"]) == {"ar"}  # what had been measured until then
    assert found.metrics["speedup_over_ar"] > 0
    assert len(crews) == 2


@pytest.mark.slow
def test_a_sweep_tells_of_a_lost_draft(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("ssdreal.executor.baselines.compare", lambda *_: {})
    at_call(monkeypatch, DraftServer, "grow", {2}, raises(EOFError()))
    assert run("-m", "seed=0,1", *SSD, f"out={tmp_path}", hire=Threads) == 0
    assert capsys.readouterr().out.count("the draft was lost") == 1


# The target


@pytest.mark.usefixtures("hosting")
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize(("command", "number"), [("begin", 1), ("prefill", 2), ("verify", 4)])
def test_without_its_target_a_run_ends(command, number, end, monkeypatch, capsys, tmp_path):
    error, reason = ENDS[end]
    at_call(monkeypatch, TargetServer, command, {number}, raises(error))
    assert run(*SSD, f"out={tmp_path}", hire=Threads) == 1
    printed = capsys.readouterr()
    where = f"what was computed is in {tmp_path}"
    assert printed.err == f"ssdreal: the target worker is gone: {reason}; {where}\n"
    assert not printed.out
    found = load_run(tmp_path)
    assert not found.info["complete"]
    assert len(found.sequences) == 2
    assert set(found.sequences.reason) <= {"cut", "length"}
    assert (len(found.rounds) > 0) == (command != "begin")


@pytest.mark.usefixtures("hosting")
@pytest.mark.parametrize("role", SERVERS)
@pytest.mark.parametrize("end", ENDS)
def test_a_model_that_cannot_be_loaded(role, end, monkeypatch, capsys, tmp_path):
    original, (error, reason) = process._server, ENDS[end]

    def failing(hiring):
        if hiring.role == role:
            raise error
        return original(hiring)

    monkeypatch.setattr(process, "_server", failing)
    assert run(*SSD, f"out={tmp_path}", hire=Threads) == 1
    assert capsys.readouterr().err.startswith(f"ssdreal: the {role} worker is gone: {reason}; ")
    found = load_run(tmp_path)
    assert not found.info["complete"]
    assert found.metrics["tokens"] == 0


def test_a_target_lost_in_the_baselines(monkeypatch, capsys, tmp_path):
    seen = at_call(monkeypatch, TargetServer, "verify", (), None)
    assert run(*TINY, "method=autoregressive", f"out={tmp_path / 'whole'}", hire=Threads) == 0
    whole = len(seen)
    at_call(monkeypatch, TargetServer, "verify", {whole // 2}, raises(EOFError()))
    assert run(*TINY, "method=autoregressive", f"out={tmp_path / 'out'}", hire=Threads) == 1
    assert "the target worker is gone" in capsys.readouterr().err
    found = load_run(tmp_path / "out")
    assert found.info["complete"]
    assert set(found.info["baselines"]) == {"ar"}


@pytest.mark.slow
def test_a_failed_run_costs_a_sweep_no_other(crews, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("ssdreal.executor.baselines.compare", lambda *_: {})
    at_call(monkeypatch, TargetServer, "verify", {3}, raises(MemoryError()))
    assert run("-m", "lookahead=3,4,-1", *TINY, f"out={tmp_path}", hire=Threads) == 1
    printed = capsys.readouterr()
    where = f"what was computed is in {tmp_path / '0'}"
    assert printed.err.splitlines() == [
        "ssdreal: #2 was refused: lookahead=-1: needs a number >= 0",
        f"ssdreal: #0 failed: the target worker is gone: out of memory; {where}",
    ]
    assert printed.out.count("\n ssd") == 1
    assert load_run(tmp_path / "1").info["complete"]
    assert len(crews) == 2
