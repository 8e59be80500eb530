"""Sweeps: notes of runs that were refused or failed, and the ranking of all runs at the end.

A configuration that is refused or fails must not stop the others, which may run in other processes
or on other machines; so it leaves a note where its run would have been, and all are told of at the
end, however that comes about.
"""

import sys
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from ssdsim.command.console import console, fail, say
from ssdsim.command.keeping import KEEP, keep
from ssdsim.errors import ConfigError, require
from ssdsim.run.run_directory import FAILED, INFO, REFUSED, SWEEP, TRACEBACK, clear, reserved, swept
from ssdsim.system.destination import LOCK, named

if TYPE_CHECKING:
    from ssdsim.run.trace import Run


def leave_note(path: Path, message: str) -> None:
    """Note why there is no run, or no whole one, beside this file."""
    path.write_text(message + "\n", encoding="utf-8", errors="backslashreplace")


def leave_traceback(directory: Path, error: Exception) -> None:
    """Note an error that nobody foresaw, in one line and whole."""
    (directory / TRACEBACK).write_text("".join(traceback.format_exception(error)), "utf-8")
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    leave_note(directory / FAILED, f"{reason} (see {directory / TRACEBACK})")


ONE = {
    "out": "a sweep has one directory; its runs are numbered in it",
    "keep": "is said once, of all runs of a sweep",
}
"""Options that a sweep cannot go through, and why."""


def _check(config: DictConfig) -> None:
    """Refuse an `out` that is no name, a `keep` that says nothing, or several of either."""
    for one in OverridesParser.create().parse_overrides([*config.hydra.overrides.task]):
        if one.key_or_group in ONE and one.is_sweep_override():
            raise ConfigError(f"{one.input_line}: {ONE[one.key_or_group]}")
    named("out", config.out)
    require(config.keep in KEEP, "keep", config.keep, f"needs one of {', '.join(KEEP)}")


class Sweep(Callback):
    """Guards the directory of a sweep, and prints its runs at the end, fastest first."""

    directory: ClassVar[Path | None] = None
    started: ClassVar[float]
    ranked: ClassVar[bool] = True
    held: ClassVar[ExitStack] = ExitStack()

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:  # noqa: ARG002 - Hydra's
        """Take the sweep's directory, or end with one line if that cannot be."""
        try:
            _check(config)
            directory = Sweep.held.enter_context(reserved(config.hydra.sweep.dir, config.overwrite))
        except (ConfigError, OmegaConfBaseException) as error:  # which Hydra would only warn of
            fail(str(error).partition("\n")[0])
        (directory / SWEEP).touch()
        Sweep.directory, Sweep.started = directory, (directory / SWEEP).stat().st_mtime
        Sweep.ranked = False

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:  # noqa: ARG002 - Hydra's
        """Rank the runs, keep those asked for, and let the others decide the exit code."""
        runs, code = self.rank(), self.complain()
        try:
            keep(config.keep, runs)
        except (OSError, ValueError) as error:  # of a disk, or of a table's file
            say(f"{self.directory}: keep={config.keep} could not be carried out ({error})")
            code = 1
        if code:
            sys.exit(code)

    @classmethod
    @contextmanager
    def ranking_in_any_case(cls) -> Iterator[None]:
        """Rank what there is also where an interrupt or an error ends a sweep early."""
        try:
            yield
        except BaseException:
            if cls.directory and not cls.ranked:
                cls.rank()
                cls.complain()
            raise

    @classmethod
    def rank(cls) -> dict[Path, "Run"]:
        """Print the whole runs and return them by their directories, fastest first."""
        from ssdsim.run.report import ranking, speed

        cls.ranked = True
        runs = dict(cls._whole())
        if runs:
            console().print(ranking([*runs.values()], title=f"sweep: {cls.directory}"))
        cls._replace({path.parent for name in (INFO, REFUSED, FAILED) for path in cls._new(name)})
        return dict(sorted(runs.items(), key=lambda entry: speed(entry[1]), reverse=True))

    @classmethod
    def complain(cls) -> int:
        """Say what became of the other configurations; return the exit code."""
        refused, failed = cls._new(REFUSED), cls._new(FAILED)
        for paths, what in ((refused, "was refused"), (failed, "failed")):
            for path in paths:
                say(f"#{path.parent.name} {what}: {path.read_text(encoding='utf-8')}")
        return 1 if failed else 2 if refused else 0

    @classmethod
    def _whole(cls) -> Iterator[tuple[Path, "Run"]]:
        """Yield the complete runs; one that was killed while it wrote may not be readable."""
        from ssdsim.run.trace import open_run

        for path in cls._new(INFO):
            try:
                run = open_run(path.parent)
            except ConfigError as error:
                leave_note(path.parent / FAILED, str(error))
                continue
            if run.info["complete"]:
                yield path.parent, run

    @classmethod
    def leave(cls) -> None:
        """Let go of the directory, and take Hydra's own notes away if there is nothing else."""
        directory, cls.directory = cls.directory, None
        if directory and {path.name for path in directory.iterdir()} == {SWEEP, LOCK}:
            (directory / SWEEP).unlink()
        cls.held.close()

    @classmethod
    def _new(cls, name: str) -> list[Path]:
        """Return these files of the sweep's runs; an earlier sweep may have left others."""
        assert cls.directory is not None
        files = cls.directory.glob(f"*/{name}")
        return sorted(path for path in files if path.stat().st_mtime >= cls.started)

    @classmethod
    def _replace(cls, new: set[Path]) -> None:
        """Remove what an earlier run or sweep has left: it was to be overwritten."""
        assert cls.directory is not None
        for path in (cls.directory, *swept(cls.directory)):
            if path not in new:
                clear(path)
