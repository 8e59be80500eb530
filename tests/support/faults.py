"""Faults that are put into real runs on purpose, and what must be left after them."""

import os
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from real_commands import SSD, run

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


@cache
def undisturbed(decoding):
    """Return the tokens of a run in which nothing goes wrong; to be asked before a fault is put."""
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as out:
        patch.setattr("ssdreal.executor.baselines.compare", lambda *_: {})
        assert run(*SSD, *decoding, f"out={out}/run") == 0
        return tokens(Path(out, "run"))
