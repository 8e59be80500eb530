"""The logs of worker processes: their standard error, kept where anything was written to it."""

import faulthandler
import os
import sys
from pathlib import Path
from tempfile import mkstemp


def new_log(name: str) -> Path:
    """Return an empty file in the folder for temporary ones (`TMPDIR`)."""
    number, path = mkstemp(prefix=f"ssdreal_{name}_", suffix=".log")
    os.close(number)
    return Path(path)


def log_to(log: Path) -> None:
    """Let standard error of this process, and of those that it starts, go to a log."""
    with log.open("ab") as file:
        os.dup2(file.fileno(), sys.stderr.fileno())
    faulthandler.enable()  # libraries abort a process, too


def with_log(reason: str, log: Path | None) -> str:
    """Return a reason and where there is more to read, if there is."""
    return f"{reason} (its log: {log})" if log is not None and _written(log) else reason


def drop_if_empty(log: Path) -> None:
    """Keep a log only if it says anything."""
    if not _written(log):
        log.unlink(missing_ok=True)


def _written(log: Path) -> bool:
    return log.exists() and log.stat().st_size > 0
