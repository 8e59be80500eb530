"""A sweep: what its runs leave for each other, and the ranking after them.

A configuration that is refused or fails must not stop the others, which may run in other processes
or on other machines; so it leaves a note where its run would have been, and all are told of at the
end.
"""

import sys
from pathlib import Path
from typing import Any, ClassVar

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from ssdsim.command.console import console, fail, say

REFUSED = "refused.txt"
FAILED = "failed.txt"
HYDRAS = "multirun.yaml"


def leave_note(path: Path, message: str) -> None:
    """Note why there is no run, or no whole one, beside this file."""
    path.write_text(message + "\n")


class Sweep(Callback):
    """Guards the directory of a sweep, and prints its runs at the end, fastest first."""

    directory: ClassVar[Path | None] = None
    started: ClassVar[float]

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:  # noqa: ARG002 - Hydra's
        """Take the sweep's directory, or end with one line if it cannot be written."""
        directory = Path(config.hydra.sweep.dir)
        try:
            directory.mkdir(parents=True, exist_ok=True)
            (directory / HYDRAS).touch()
        except OSError as error:
            fail(f"out={directory}: cannot be written ({error.strerror}); choose another directory")
        Sweep.directory, Sweep.started = directory, (directory / HYDRAS).stat().st_mtime

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:  # noqa: ARG002 - Hydra's
        """Rank the runs, name the other configurations, and let those decide the exit code."""
        from ssdsim.run.report import ranking
        from ssdsim.run.trace import load_run

        assert Sweep.directory is not None
        runs = [load_run(path.parent) for path in self._new("run.json")]
        whole = [run for run in runs if run.info["complete"]]
        if whole:
            console().print(ranking(whole, title=f"sweep: {Sweep.directory}"))
        refused, failed = self._new(REFUSED), self._new(FAILED)
        for paths, what in ((refused, "was refused"), (failed, "failed")):
            for path in paths:
                say(f"#{path.parent.name} {what}: {path.read_text()}")
        if refused or failed:
            sys.exit(1 if failed else 2)

    @classmethod
    def forget_if_nothing_ran(cls) -> None:
        """Remove the directory if Hydra left nothing but its own notes there."""
        directory, cls.directory = cls.directory, None
        if directory and {path.name for path in directory.iterdir()} == {HYDRAS}:
            (directory / HYDRAS).unlink()
            directory.rmdir()

    @staticmethod
    def _new(name: str) -> list[Path]:
        """Return these files of the sweep's runs; an earlier sweep may have left others."""
        assert Sweep.directory is not None
        files = Sweep.directory.glob(f"*/{name}")
        return sorted(path for path in files if path.stat().st_mtime >= Sweep.started)
