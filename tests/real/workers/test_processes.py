"""Worker processes by themselves, and real ones that are killed."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from multiprocessing import Pipe
from types import SimpleNamespace

import pytest
from faults import ENDS, GUMBEL, MAXIMAL, SERVERS, raises, tokens, undisturbed, workers
from patience import wait_until, wait_until_gone
from real_commands import SSD, run

from ssdreal.channel.messages import Failed
from ssdreal.channel.wire import PATIENCE, Wire
from ssdreal.workers import process
from ssdreal.workers.crew import Processes
from ssdreal.workers.hiring import Hiring
from ssdsim import load_run
from ssdsim.errors import ConfigError

pytestmark = pytest.mark.usefixtures("nothing_left")


# Workers by themselves


@pytest.mark.parametrize("end", [name for name in ENDS if name != "killed"])
def test_a_worker_s_last_words(end, capsys, monkeypatch):
    error, reason = ENDS[end]
    monkeypatch.setattr(process, "_server", lambda _: raises(error)())
    ours, theirs = Pipe()
    process.work((theirs, Hiring("draft", "tiny_draft", "tiny_target", "float32", "cpu")))
    assert Wire(ours).receive() == [Failed(None, reason)]
    log = capsys.readouterr().err
    assert log.startswith("Traceback (most recent call last):\n")
    assert f"\n{type(error).__name__}" in log


def test_what_a_user_is_told_needs_no_traceback(capsys, monkeypatch):
    monkeypatch.setattr(process, "_server", lambda _: raises(ConfigError("dtype='int8': no"))())
    ours, theirs = Pipe()
    process.work((theirs, Hiring("draft", "tiny_draft", "tiny_target", "int8", "cpu")))
    assert Wire(ours).receive() == [Failed(None, "dtype='int8': no")]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("seats", [1, 2])
def test_only_who_is_alone_in_a_process_keeps_its_core_busy_while_it_waits(seats, monkeypatch):
    ours = []

    def served(wire, *_):
        ours.append(wire.patience)

    monkeypatch.setattr(process, "_server", lambda _: SimpleNamespace())
    monkeypatch.setattr(process, "_serve", served)
    for polls in (True, False):
        hiring = Hiring("draft", "a", "b", "float32", "cpu", polls=polls)
        process.work(*((Pipe()[1], hiring) for _ in range(seats)))
    assert ours == [PATIENCE * (seats == 1)] * seats + [0.0] * seats


FAILING = """
import os, sys
from ssdreal.workers import process
from ssdreal.workers.crew import Processes
from ssdreal.workers.hiring import Hiring
from ssdreal.workers.remote import WorkerLost

def _server(hiring):
    if sys.argv[1] == "error":
        raise ValueError("a bug")
    os.abort() if sys.argv[1] == "abort" else os._exit(3)

process._server = _server

if __name__ == "__main__":
    try:
        Processes(Hiring("target", "none", "none", "float32", "cpu"))
    except WorkerLost as lost:
        print(lost)
"""


@pytest.mark.parametrize(
    ("how", "reason", "logged"),
    [
        ("error", "ValueError: a bug (its log: {})", "ValueError: a bug"),
        ("abort", "its process was killed (SIGABRT) (its log: {})", "Fatal Python error: Aborted"),
        ("exit", "its process ended (exit code 3)", None),
    ],
)
def test_what_a_worker_complains_of_is_in_its_log(how, reason, logged, tmp_path):
    file, logs = tmp_path / "failing.py", tmp_path / "logs"
    file.write_text(FAILING)
    logs.mkdir()
    with session(file, how, env=os.environ | {"TMPDIR": str(logs)}) as command:
        line, complaints = command.communicate()
    found = list(logs.glob("*.log"))  # an empty one is not kept
    assert len(found) == (logged is not None)
    assert line == f"the target worker is gone: {reason.format(*found)}\n"
    assert complaints == ""
    assert all(logged in log.read_text() for log in found)
    assert all("in _server" in log.read_text() for log in found)


STUB = """
import sys, time
from ssdreal.workers import process
from ssdreal.channel.messages import Prefill, Ready, Stamp

class Stub:
    def ready(self):
        return Ready(1, None)

    def answer(self, command):
        while True:  # a long command
            sum(range(1000))

process._server = lambda hiring: Stub()  # in the worker as well, which imports this file

if __name__ == "__main__":
    worker = process.WorkerProcess(process.Hiring("draft", "none", "none", "float32", "cpu"))
    worker.start()
    print("started", flush=True)
    if sys.argv[1] == "busy":
        (channel,) = worker.channels
        channel.wire.receive()
        channel.send(Prefill(Stamp(1, 1), (), ()))
        time.sleep(0.2)
    print(worker.process.pid, flush=True)
    try:
        time.sleep(600)
    except KeyboardInterrupt:
        worker.close()
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


def gone(pid):
    wait_until_gone(lambda: workers(pid))


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


@pytest.mark.slow
def test_processes_that_are_killed(monkeypatch, capfd, tmp_path):
    """A sweep on real processes: they ignore interrupts, and are killed in turn."""
    whole = [undisturbed(decoding) for decoding in (GUMBEL, MAXIMAL)]
    capfd.readouterr()
    ignored = {(1, 9): dict.fromkeys(SERVERS, signal.SIGINT)}
    ignored |= {(1, 12): dict.fromkeys(SERVERS, signal.SIGTERM)}
    killed = {(1, 16): {"draft": signal.SIGKILL}}
    # Of the second crew: AR, SD and two looks at the tokens, then the next run and its AR.
    plans = {**ignored, **killed}, {(6, 5): {"target": signal.SIGKILL}}
    monkeypatch.setattr(Mortal, "plans", plans)
    monkeypatch.setattr(Mortal, "hired", 0)
    monkeypatch.setattr("ssdreal.executor.baselines.MOST_LOOKAHEAD", 1)
    monkeypatch.setattr("ssdreal.places.topology.Cpu.spread", lambda _: None)
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
    # Those of the second through memory that the processes share.
    assert [tokens(tmp_path / name) for name in "01"] == whole
    assert Mortal.hired == 2


def started(out, *arguments):
    """Start the command, and wait until its workers load their models."""
    command = session("-m", "ssdreal", *SSD, *arguments, f"out={out}")
    # Itself, Python's resource tracker, and two workers.
    wait_until(lambda: len(workers(command.pid)) >= 4)
    return command


@pytest.mark.slow
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
