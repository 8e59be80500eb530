"""Reads the processor's model, its cores, and the container's CPU quota."""

import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

GROUPS = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")


def processor() -> dict[str, Any]:
    """Return the machine as `run.json` names it; None: the system does not say."""
    return {
        "system": platform.system(),
        "processor": platform.machine(),
        "model": _model(),
        "cores": os.cpu_count(),
        "cpu_quota": cpu_quota(),
    }


def cpu_quota(groups: Path = GROUPS, own: Path = OWN) -> float | None:
    """Return how many cores' time this process may use; None: no limit is set.

    Parameters
    ----------
    groups
        Where Linux shows its control groups, of version 1 or 2.
    own
        File that says which of them this process is in; the limits of those around it hold as well.

    """
    limits = (limit for folder in _folders(groups, own) for limit in _limits(folder))
    return min(limits, default=None)


def _folders(groups: Path, own: Path) -> Iterator[Path]:
    """Yield this process's control groups for processors, and those around them."""
    yield from (groups, groups / "cpu")  # within a container these are its own
    for line in _read(own).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        around = Path(path.strip("/"))
        yield from (groups / controllers / group for group in (around, *around.parents))


def _limits(folder: Path) -> Iterator[float]:
    written = _read(folder / "cpu.max").split() or [
        *_read(folder / "cpu.cfs_quota_us").split(),
        *_read(folder / "cpu.cfs_period_us").split(),
    ]
    try:
        quota, period = map(int, written)
    except ValueError:  # "max", or nothing
        return
    if quota > 0 and period > 0:
        yield quota / period


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _model() -> str | None:
    """Return what the processor calls itself, where the system says so."""
    lines = _read(Path("/proc/cpuinfo")).splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), None)
