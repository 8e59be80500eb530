"""Reserves a run's directory before the run begins, so that it never holds parts of two runs."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ssdsim.errors import ConfigError, require
from ssdsim.system.atomic_files import PARTIALS
from ssdsim.system.destination import own_folder, taken, writing

INFO = "run.json"
TABLES = ("sequences", "rounds", "spans", "speculations", "outcomes", "state")
PAGE = "page.html"
DRAWN = ("timeline.json", "timeline.png", PAGE)
"""What follows from the tables."""

FILES = (INFO, *(f"{name}.parquet" for name in TABLES), "vocabulary.json", *DRAWN)
REFUSED = "refused.txt"
FAILED = "failed.txt"
TRACEBACK = "traceback.txt"
"""Notes of a sweep's runs."""

SWEEP = "multirun.yaml"
"""Hydra's note in the directory of a sweep."""


def free(out: object, overwrite: object) -> Path:
    """Return the directory that `out` names if a run, or a sweep of runs, may be written there.

    Raises
    ------
    ConfigError
        It cannot be a run's directory, or holds a run that is not to be overwritten.

    """
    require(isinstance(overwrite, bool), "overwrite", overwrite, "needs true or false")
    path = own_folder("out", out)
    for each in (path, *swept(path)):
        held = [each / name for name in FILES if (each / name).exists()]
        if held and _is_foreign(each / INFO):
            raise ConfigError(f"out={path}: {each / INFO} is no run's; choose another directory")
        if held and not overwrite:
            right = "add overwrite=true to replace it, or choose another directory"
            raise ConfigError(f"out={path}: holds a run ({held[0]}); {right}")
    return path


@contextmanager
def reserved(out: object, overwrite: object) -> Iterator[Path]:
    """Keep the directory of a run or of a sweep for this process; the value is its path.

    Raises
    ------
    ConfigError
        As `free`; or another process is writing there.

    """
    with taken("out", free(out, overwrite)):
        yield free(out, overwrite)  # another process may have been there since


def replace(path: Path) -> None:
    """Remove the run or the sweep of runs that a reserved directory holds.

    Raises
    ------
    ConfigError
        That cannot be done.

    """
    with writing("out", path):
        for each in (path, *swept(path)):
            clear(each)
        (path / SWEEP).unlink(missing_ok=True)


def clear(path: Path) -> None:
    """Remove a run, its `run.json` first: without that there is none."""
    for name in (*FILES, REFUSED, FAILED, TRACEBACK):
        (path / name).unlink(missing_ok=True)
    for partial in path.glob(PARTIALS):
        partial.unlink()
    with suppress(OSError):  # where there is something else in it
        path.rmdir()


def swept(path: Path) -> list[Path]:
    """Return the directories of a sweep's runs, if this is the directory of a sweep."""
    if not (path / SWEEP).is_file():
        return []
    return sorted(each for each in path.iterdir() if each.name.isdigit() and each.is_dir())


def _is_foreign(info: Path) -> bool:
    """Whether a `run.json` tells of something else, as that of an acceptance trace does."""
    try:
        content = json.loads(info.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return not (isinstance(content, dict) and "schema" in content)
