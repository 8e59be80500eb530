"""Waiting for what must come: on a machine that is busy with much else it only comes later."""

import os
import time
from pathlib import Path

PATIENCE = 300.0  # seconds


def wait_until(holds):
    """Wait until `holds()` is true."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)


def wait_until_gone(left):
    """Wait until `left()` returns nothing any more."""
    deadline = time.monotonic() + PATIENCE
    while found := left():
        assert time.monotonic() < deadline, found
        time.sleep(0.01)


def work_for(pid, seconds):
    """Wait until a process has computed for so many seconds more, or has ended."""
    begun = cpu_seconds(pid)
    wait_until(lambda: cpu_seconds(pid) >= begun + seconds)


def cpu_seconds(pid):
    """Return for how long a process has computed; infinity where it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return float("inf")
    ticks = int(fields[11]) + int(fields[12])
    return float("inf") if fields[0] == "Z" else ticks / os.sysconf("SC_CLK_TCK")
