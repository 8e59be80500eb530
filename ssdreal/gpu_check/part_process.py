"""Runs one part of the check as a process group, within its time."""

import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ssdreal.gpu_check.timetable import Part

TOO_LATE = 124
"""What a command that ran out of time ends with, as `timeout` has it."""

LAST_WORDS = 1.0
"""Seconds in which a process that hangs may say where."""

CACHES = "caches"
"""Below the check's folder: what has been compiled, for all parts, and for the next machine."""

WORKERS = "workers"
"""Below it too: the logs of worker processes, and what else is put down for a while."""

Ended = Callable[[Part, Path, float], int]
"""Runs a part within a folder and so many seconds, and returns its exit code."""


def carried_out(part: Part, folder: Path, seconds: float) -> int:
    """Run a part's command, its output in a log; return its exit code, `TOO_LATE` if it hung.

    It runs in a process group of its own, so that nothing of it outlasts its time. What hangs is
    told to write down where before it is killed.
    """
    _allow_no_dumps()
    with (folder / f"{part.name}.log").open("w") as log:
        process = subprocess.Popen(  # noqa: S603 - the commands are this project's own
            list(part.command),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, **variables(folder), **part.environment},
        )
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            _ask_where(process)
            return TOO_LATE
        finally:
            _end(process)


def variables(folder: Path) -> dict[str, str]:
    """Return the environment that all parts have: logs as they come, and one place for caches."""
    caches, workers = folder.resolve() / CACHES, folder.resolve() / WORKERS
    workers.mkdir(parents=True, exist_ok=True)
    return {
        "TMPDIR": str(workers),  # where their logs are
        "PYTHONUNBUFFERED": "1",
        "PYTHONFAULTHANDLER": "1",
        "TORCHINDUCTOR_CACHE_DIR": str(caches / "inductor"),
        "TRITON_CACHE_DIR": str(caches / "triton"),
    }


def _ask_where(process: "subprocess.Popen[bytes]") -> None:
    """Let every Python of the group write its threads' stacks down, which an abort does there."""
    if hasattr(os, "killpg"):
        _signal(process, signal.SIGABRT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(LAST_WORDS)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End what is left of a command's group; it may have ended itself."""
    if hasattr(os, "killpg"):
        _signal(process, signal.SIGKILL)
        # An interrupt in the midst of its `wait` can leave a lock there, for which another one
        # would wait for ever: who has not been waited for is so by the system.
        with suppress(ChildProcessError):
            os.waitpid(process.pid, 0)
            process.returncode = -signal.SIGKILL
    else:  # Windows has no groups of processes; workers end with whoever started them
        process.kill()
        process.wait()


def _signal(process: "subprocess.Popen[bytes]", number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _allow_no_dumps() -> None:
    """Let no abort write down gigabytes of memory."""
    with suppress(ImportError):  # there is none on Windows, and no such dump
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (0, most))
