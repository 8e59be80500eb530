"""Which directories a sweep leaves of its runs, and which of them get a picture.

No run knows whether it is the fastest before all are over, and a sweep may be cut short. So every
run writes its directory, and what is not to be kept is removed at the end.
"""

from collections.abc import Mapping
from pathlib import Path

from ssdsim.command.shown import short, write
from ssdsim.run.run_directory import FAILED, clear
from ssdsim.run.trace import Run, open_run
from ssdsim.system.atomic_files import replacing

ALL, BEST, NONE = KEEP = ("all", "best", "none")


def keep(which: str, runs: Mapping[Path, Run]) -> None:
    """Draw the fastest run of a sweep, and remove the directories that are not to be kept.

    Parameters
    ----------
    which
        One of `KEEP`.
    runs
        The whole runs, fastest first, by their directories. One with a note of what went wrong in
        it stays.

    """
    if not runs:
        return
    fastest = next(iter(runs))
    if which != NONE:
        _complete(fastest)
    wanted = {ALL: set(runs), BEST: {fastest}, NONE: set[Path]()}[which]
    for path in set(runs) - wanted:
        if not (path / FAILED).is_file():
            clear(path)
    write(_said(which, fastest))


def draw(run: Run, directory: Path) -> None:
    """Write the picture of a run."""
    from ssdsim.run.picture import timeline_picture

    with replacing(directory) as partial:
        timeline_picture(run, partial("timeline.png"))


def _complete(directory: Path) -> None:
    """Write what a sweep may have left out of a run's directory: all that is drawn of it."""
    run = open_run(directory)
    with replacing(directory) as partial:
        run.save_timeline(partial("timeline.json"))
    draw(run, directory)


def _said(which: str, fastest: Path) -> str:
    return {
        ALL: f"picture of the fastest run: {short(fastest / 'timeline.png')}",
        BEST: f"run directory of the fastest: {short(fastest)}",
        NONE: "no run directory was kept",
    }[which]
