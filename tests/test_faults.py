"""What goes wrong while models run: lost workers, interrupts, full disks.

Whatever it is, there is one clear line and the right exit code, the run directory parses, what was
computed is kept, and no process is left. Most of it is tried on threads that do what the worker
processes do; at the end, real processes are killed.
"""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from multiprocessing import Pipe
from pathlib import Path

import pytest
from real_commands import SSD, TINY, Threads, run

import ssdsim.trace
from ssdreal.channel import process
from ssdreal.channel.crew import Processes
from ssdreal.channel.inbox import Inbox
from ssdreal.channel.messages import Failed
from ssdreal.channel.process import Hiring, PipeChannel
from ssdreal.channel.wire import Wire
from ssdreal.serving.draft_server import DraftServer
from ssdreal.serving.target_server import TargetServer
from ssdsim import load_run

GUMBEL = ("temperature=1", "coupling=gumbel")
MAXIMAL = ("temperature=1", "coupling=maximal")
SERVERS = {"target": TargetServer, "draft": DraftServer}
ENDS = {
    "memory": (MemoryError(), "out of memory"),
    "torch's memory": (
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to\n allocate 9 bytes"),
        "out of memory (DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes)",
    ),
    "error": (ValueError("a bug"), "ValueError: a bug"),
    # To the run's process a worker that ends without a word is one that was killed.
    "killed": (EOFError(), "its process was killed (SIGKILL, as happens when memory runs out)"),
}


@pytest.fixture
def alone(monkeypatch):
    """Do without baselines."""
    monkeypatch.setattr("ssdreal.baselines.compare", lambda *_: {})


@pytest.fixture
def crews(monkeypatch):
    """Count the crews of threads that are hired."""
    hired = []
    monkeypatch.setattr(Threads, "__enter__", lambda crew: hired.append(crew) or crew)
    return hired


@pytest.fixture(autouse=True)
def nothing_left():
    """Whatever a test does, no worker outlives it."""
    threads = threading.active_count()
    yield
    deadline = time.monotonic() + 5
    while threading.active_count() > threads or workers():
        assert time.monotonic() < deadline, (threading.enumerate(), workers())
        time.sleep(0.01)


def workers(session=None):
    """Return the processes of a session, or the workers of this very process."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            command = (path / "cmdline").read_bytes()
            status = (path / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        state, parent, _, its_session = status[:4]
        own = int(parent) == os.getpid() and b"spawn_main" in command
        if state != "Z" and (own if session is None else int(its_session) == session):
            found.append(int(path.name))
    return found


def at_call(monkeypatch, holder, name, numbers, fault):
    """Let a fault happen in calls of these numbers."""
    original, count = getattr(holder, name), []

    def faulty(*arguments, **options):
        count.append(1)
        if len(count) in numbers:
            fault()
        return original(*arguments, **options)

    monkeypatch.setattr(holder, name, faulty)
    return count


def raises(error):
    def fault():
        raise error

    return fault


def tokens(directory):
    return [output.tolist() for output in load_run(directory).sequences.output]


# The draft


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Return the tokens of runs in which nothing goes wrong, by decoding."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ssdreal.baselines.compare", lambda *_: {})
        for decoding in ((), GUMBEL, MAXIMAL):
            out = tmp_path_factory.mktemp("runs")
            assert run(*SSD, *decoding, f"out={out}") == 0
            found[decoding] = tokens(out)
    return found


@pytest.mark.usefixtures("alone")
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
    command, number, end, decoding, undisturbed, monkeypatch, capsys, tmp_path
):
    error, reason = ENDS[end]
    at_call(monkeypatch, DraftServer, command, {number}, raises(error))
    assert run(*SSD, *decoding, f"out={tmp_path}", hire=Threads) == 0
    assert f"the draft was lost ({reason}): decoded without drafts" in capsys.readouterr().out
    found = load_run(tmp_path)
    assert found.info["complete"]
    assert found.info["draft_lost"] == reason
    assert tokens(tmp_path) == undisturbed[decoding]
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


def test_a_sweep_tells_of_a_lost_draft(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("ssdreal.baselines.compare", lambda *_: {})
    at_call(monkeypatch, DraftServer, "grow", {2}, raises(EOFError()))
    assert run("-m", "seed=0,1", *SSD, f"out={tmp_path}", hire=Threads) == 0
    assert capsys.readouterr().out.count("the draft was lost") == 1


# The target


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


def test_a_failed_run_costs_a_sweep_no_other(crews, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("ssdreal.baselines.compare", lambda *_: {})
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


# Interrupts


def interrupt(number):
    return lambda: os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("moment", "call", "whole"),
    [("loading", 1, False), ("waiting", 1, False), ("waiting", 20, False), ("waiting", 90, True)],
    ids=["loading", "begin", "decoding", "baselines"],
)
def test_an_interrupt(moment, call, whole, number, monkeypatch, capsys, tmp_path):
    holder, name = {"loading": (Processes, "_greet"), "waiting": (Inbox, "wait")}[moment]
    at_call(monkeypatch, holder, name, {call}, interrupt(number))
    assert run(*SSD, f"out={tmp_path}", hire=Threads) == 130
    printed = capsys.readouterr()
    assert printed.err == f"ssdreal: interrupted; what was computed is in {tmp_path}\n"
    assert not printed.out
    found = load_run(tmp_path)
    assert found.info["complete"] == whole
    assert (len(found.rounds) > 0) == (call > 1)


def test_a_second_interrupt_leaves_no_worker_either(monkeypatch, capsys, tmp_path):
    at_call(monkeypatch, Inbox, "wait", {20}, interrupt(signal.SIGINT))
    at_call(monkeypatch, PipeChannel, "close", {1, 2}, interrupt(signal.SIGINT))
    assert run(*SSD, f"out={tmp_path}", hire=Threads) == 130
    assert capsys.readouterr().err.count("interrupted") == 1


def test_an_interrupted_sweep(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("ssdreal.baselines.compare", lambda *_: {})
    starts = at_call(monkeypatch, Threads, "_greet", {2}, interrupt(signal.SIGTERM))
    drafts = "pair.draft=tiny_draft,tiny_trimmed_draft,tiny_draft"
    assert run("-m", drafts, *SSD, f"out={tmp_path}", hire=Threads) == 130
    assert "interrupted" in capsys.readouterr().err
    assert len(starts) == 2
    assert [load_run(tmp_path / name).info["complete"] for name in "01"] == [True, False]
    assert not (tmp_path / "2").exists()


# Full disks


def full():
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    ("write", "saves", "left"),
    [
        ("write_table", {2}, None),
        ("write_table", {5}, False),
        ("_write_json", {3}, False),
        ("_write_json", {4}, False),
        ("_write_json", {5}, True),
    ],
    ids=["claim", "tables", "timeline", "info", "baselines"],
)
def test_a_full_disk(write, saves, left, monkeypatch, capsys, tmp_path):
    holder = ssdsim.trace.pq if write == "write_table" else ssdsim.trace
    at_call(monkeypatch, holder, write, saves, full)
    out = tmp_path / "out"
    assert run(*SSD, f"out={out}") == 1
    line = capsys.readouterr().err
    assert line.startswith(f"ssdreal: out={out}: cannot be written (No space left on device)")
    assert line.count("\n") == 1
    if left is None:
        assert not out.exists()
        return
    found = load_run(out)
    assert found.info["complete"] == left
    assert "tokens/s" in line  # what there was nowhere else to write down
    assert not list(out.glob(".*"))


def test_a_full_disk_at_the_picture(monkeypatch, capsys, tmp_path):
    at_call(monkeypatch, ssdsim.picture, "timeline_picture", {1}, full)
    assert run(*SSD, f"out={tmp_path}") == 1
    assert "No space left on device" in capsys.readouterr().err
    assert load_run(tmp_path).info["complete"]


def test_a_full_disk_in_a_sweep(monkeypatch, capsys, tmp_path):
    at_call(monkeypatch, ssdsim.trace.pq, "write_table", {5}, full)
    assert run("-m", "seed=0,1", *SSD, f"out={tmp_path}") == 1
    assert "ssdreal: #0 failed: out=" in capsys.readouterr().err
    assert load_run(tmp_path / "1").info["complete"]


# Workers by themselves


@pytest.mark.parametrize("end", [name for name in ENDS if name != "killed"])
def test_a_worker_s_last_words(end, monkeypatch):
    error, reason = ENDS[end]
    monkeypatch.setattr(process, "_server", lambda _: raises(error)())
    ours, theirs = Pipe()
    process.work(theirs, Hiring("draft", "tiny_draft", "tiny_target", "float32", "cpu"))
    assert Wire(ours).receive() == [Failed(None, reason)]


STUB = """
import sys, time
from ssdreal.channel import process
from ssdreal.channel.messages import Prefill, Ready, Stamp

class Stub:
    def ready(self):
        return Ready(1, None)

    def answer(self, command):
        while True:  # a long command
            sum(range(1000))

process._server = lambda hiring: Stub()  # in the worker as well, which imports this file

if __name__ == "__main__":
    channel = process.PipeChannel(process.Hiring("draft", "none", "none", "float32", "cpu"))
    channel.start()
    print("started", flush=True)
    if sys.argv[1] == "busy":
        channel.wire.receive()
        channel.send(Prefill(Stamp(1, 1), ()))
        time.sleep(0.2)
    print(channel.process.pid, flush=True)
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        channel.close()
"""


def session(*command, **options):
    return subprocess.Popen(  # noqa: S603 - our own
        [sys.executable, *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,
    )


def gone(pid, seconds=5):
    deadline = time.monotonic() + seconds
    while left := workers(pid):
        assert time.monotonic() < deadline, left
        time.sleep(0.02)


@pytest.fixture
def stub(tmp_path):
    file = tmp_path / "stub.py"
    file.write_text(STUB)
    return file


def test_a_worker_ends_with_a_killed_run_in_the_middle_of_a_command(stub):
    with session(stub, "busy") as command:
        command.stdout.readline()
        assert int(command.stdout.readline()) in workers(command.pid)
        command.kill()
        gone(command.pid)
        assert command.stderr.read() == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_worker_leaves_interrupts_to_the_run_from_its_very_start(number, stub):
    with session(stub, "idle") as command:
        command.stdout.readline()
        worker = int(command.stdout.readline())  # it has only begun to start
        os.kill(worker, number)
        time.sleep(0.5)
        assert worker in workers(command.pid)
        command.send_signal(signal.SIGINT)
        gone(command.pid)
        assert command.stderr.read() == ""
    assert command.returncode == 0


# Real processes


class Mortal(Processes):
    """Sends signals to its processes, as planned by crew: in a run of it, at a wait for answers."""

    plans = ()
    hired = 0

    def __init__(self, target, draft):
        super().__init__(target, draft)
        self.plan = self.plans[Mortal.hired]
        Mortal.hired += 1
        self.waits = Counter()

    def wait(self, seconds):
        run_ = self.target.run
        self.waits[run_] += 1
        for role, number in self.plan.get((run_, self.waits[run_]), {}).items():
            os.kill(self.channels[list(SERVERS).index(role)].process.pid, number)
        return super().wait(seconds)


def test_processes_that_are_killed(undisturbed, monkeypatch, capfd, tmp_path):
    """A sweep on real processes: they ignore interrupts, and are killed in turn."""
    ignored = {(1, 9): dict.fromkeys(SERVERS, signal.SIGINT)}
    ignored |= {(1, 12): dict.fromkeys(SERVERS, signal.SIGTERM)}
    killed = {(1, 16): {"draft": signal.SIGKILL}}
    # Of the second crew: AR, SD and two looks at the tokens, then the next run and its AR.
    plans = {**ignored, **killed}, {(6, 5): {"target": signal.SIGKILL}}
    monkeypatch.setattr(Mortal, "plans", plans)
    monkeypatch.setattr(Mortal, "hired", 0)
    monkeypatch.setattr("ssdreal.baselines.MOST_LOOKAHEAD", 1)
    monkeypatch.setattr("ssdreal.topology.Cpu.spread", lambda _: None)
    arguments = (*SSD, "temperature=1", "coupling=gumbel,maximal", f"out={tmp_path}")
    assert run("-m", *arguments, hire=Mortal) == 1
    killed = "its process was killed (SIGKILL, as happens when memory runs out)"
    printed = capfd.readouterr()
    assert printed.out.count(f"the draft was lost ({killed}): decoded without drafts") == 1
    where = f"what was computed is in {tmp_path / '1'}"
    assert printed.err == f"ssdreal: #1 failed: the target worker is gone: {killed}; {where}\n"
    first, second = (load_run(tmp_path / name) for name in "01")
    assert first.info["draft_lost"] == killed
    assert set(first.info["baselines"]) == {"ar", "sd"}
    assert first.metrics["token_mismatches"] == 0
    assert second.info["complete"]
    assert not second.info["baselines"]
    assert tokens(tmp_path / "0") == undisturbed[GUMBEL]
    assert tokens(tmp_path / "1") == undisturbed[MAXIMAL]  # through memory that they share
    assert Mortal.hired == 2


def started(out, *arguments):
    """Start the command, and wait until its workers load their models."""
    command = session("-m", "ssdreal", *SSD, *arguments, f"out={out}")
    deadline = time.monotonic() + 60
    while len(workers(command.pid)) < 4:  # itself, Python's resource tracker, and two workers
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return command


def test_ctrl_c_while_models_load(tmp_path):
    with started(tmp_path) as command:
        time.sleep(0.5)
        os.killpg(command.pid, signal.SIGINT)  # as a terminal does: to all of them
        time.sleep(0.05)
        os.killpg(command.pid, signal.SIGINT)
        gone(command.pid)
        assert command.stderr.read() == (
            f"ssdreal: interrupted; what was computed is in {tmp_path}\n"
        )
        assert not command.stdout.read()
    assert command.returncode == 130
    assert not load_run(tmp_path).info["complete"]


def test_a_command_that_is_killed_leaves_nothing(tmp_path):
    with started(tmp_path, *MAXIMAL) as command:
        command.kill()
        gone(command.pid)  # what a worker says that was still being started is Python's affair
    assert not load_run(tmp_path).info["complete"]
