"""Process priority, exit with the parent process, and one-line reasons for a process's end."""

import os
import signal
from contextlib import suppress
from multiprocessing import parent_process
from multiprocessing.process import BaseProcess
from pathlib import Path
from traceback import print_exception

from ssdreal.workers.logs import drop_if_empty
from ssdsim.errors import ConfigError, RunError

GRACE = 1.0
"""Seconds that a process gets to end before it is killed."""


def lower_priority() -> None:
    """Never take the core from the run's process on waking up.

    Else a worker begins when its message arrives, and a message that the run was about to send to
    the other one may wait for the end of a time slice: 2 to 5 ms, in a quarter of the rounds once.
    Tokens/s do not gain by it beyond their scatter; that a message takes about the same time every
    time is what it is for, since a simulation knows one time.
    """
    if hasattr(os, "SCHED_BATCH"):  # Linux
        with suppress(OSError):  # some sandboxes know no such policy
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def end_with_the_parent(log: Path | None = None) -> None:
    """End when the parent's process does, in the middle of a command too: nobody waits for it."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        if log is not None:
            drop_if_empty(log)
        os._exit(1)


def last_error(error: BaseException) -> str:
    """Return in one line why a process cannot go on; how it came to that goes to its log."""
    text = " ".join(str(error).split())
    if isinstance(error, ConfigError | RunError):
        return text  # which says all there is to know
    print_exception(error)
    if isinstance(error, MemoryError) or "allocate memory" in text or "out of memory" in text:
        return f"out of memory ({text})" if text else "out of memory"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def exit_reason(process: BaseProcess) -> str:
    """Say how a process ended."""
    process.join(GRACE)
    code = process.exitcode
    if code is None or code >= 0:
        return f"its process ended (exit code {code})"
    memory = ", as happens when memory runs out" if -code == signal.SIGKILL else ""
    return f"its process was killed ({signal.Signals(-code).name}{memory})"
