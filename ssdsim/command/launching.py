"""Hands jobs to one of Hydra's launchers: the cores of this machine, or a cluster, as sweeps do."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hydra import initialize
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ssdsim.command.config import register
from ssdsim.command.console import ending, speak_as
from ssdsim.command.hydra_errors import explained
from ssdsim.errors import ConfigError, RunError
from ssdsim.system.interrupts import awaiting, held_back, unheard_by_children

RESULTS = ".results"
"""Of a chunk: the end of the name of the file that its results go to."""
ENDED = "ended"
"""A file beside the chunks that says: begin no further part of any."""
LOGGING = ("job_logging", "hydra_logging")

Done = Callable[[int, list[bytes]], None]
"""Is told which chunk, and the lines that came of its first parts, or of all of them."""
Launch = Callable[[Sequence[bytes], Done], None]
"""Has chunks worked on, and says what came of each, also where it is interrupted."""


def register_launcher(section: str) -> None:
    """Store the config that launchers are composed from: jobs leave nothing behind."""
    store = ConfigStore.instance()
    hydra = {"output_subdir": None, "run": {"dir": "."}, "sweep": {"dir": ".", "subdir": "."}}
    quiet = ["_self_", *({f"override hydra/{kind}": "none"} for kind in LOGGING)]
    default = [*quiet, {"override hydra/launcher": "joblib"}]
    node = {"defaults": default, section: {"chunk": None}, "hydra": hydra}
    store.store(name=section, node=OmegaConf.create(node))


@contextmanager
def composing(name: str, section: str, kept: str) -> Iterator[None]:
    """Let a command compose configs and launch jobs; bad input ends it with one line.

    Parameters
    ----------
    name
        As its complaints begin.
    section
        Of its config, which says what launchers are composed from.
    kept
        What the same command goes on from, where it is interrupted.

    """
    speak_as(name)
    with ending(f"interrupted; the same command goes on from what is {kept}"):
        register()
        register_launcher(section)
        try:
            with initialize(version_base="1.3", config_path=None):
                yield
        except (HydraException, OmegaConfBaseException) as error:
            raise ConfigError(explained(error)) from error


def launcher(
    config: DictConfig, section: str, folder: Path, task: Callable[[DictConfig], None]
) -> Launch:
    """Return what has chunks worked on through the launcher that a config chooses.

    Parameters
    ----------
    config
        Composed, with its section `hydra`.
    section
        Whose `chunk` is the file of a job's chunk.
    folder
        Where chunks are put for the jobs, and where these write what comes of them.
    task
        Works on the chunk of a job, in whatever process it runs (`worked_on`).

    """
    context = HydraContext(GlobalHydra.instance().config_loader(), _no_callbacks())
    chosen = Plugins.instance().instantiate_launcher(
        hydra_context=context, task_function=task, config=config
    )

    def launch(chunks: Sequence[bytes], done: Done) -> None:
        own = TemporaryDirectory(dir=folder, prefix=".chunks.")
        paths = [Path(own.name, f"{number}.json") for number in range(len(chunks))]
        try:
            for path, chunk in zip(paths, chunks, strict=True):
                path.write_bytes(chunk)
            jobs = [[f"{section}.chunk='{path.absolute()}'"] for path in paths]
            # An interrupt in the middle of a launcher would leave it processes, files and threads.
            with awaiting(Path(own.name, ENDED).touch), unheard_by_children():
                for job in chosen.launch(jobs, initial_job_idx=0):
                    _check(job)
        finally:
            with held_back():  # an interrupt while files are removed would leave some
                for number, path in enumerate(paths):
                    done(number, _finished(path))
                own.cleanup()

    return launch


def worked_on(path: Path, parts: Sequence[Any], work: Callable[[Any], bytes]) -> None:
    """Write a line for each part of a chunk, in their order, when it is done.

    Where the launch is interrupted, no further part is begun.
    """
    ended = path.with_name(ENDED)
    with path.with_suffix(RESULTS).open("wb", buffering=0) as file:
        for part in parts:
            if ended.exists():
                return
            file.write(work(part) + b"\n")


def append_lines(file: Path, lines: Sequence[bytes]) -> None:
    """Append whole lines, also behind one that a process was writing when it was killed."""
    with file.open("ab") as opened:
        whole = not file.stat().st_size or file.read_bytes().endswith(b"\n")
        opened.write((b"" if whole else b"\n") + b"".join(line + b"\n" for line in lines))


def _check(job: Any) -> None:
    """Raise `RunError` if a job failed."""
    try:
        _ = job.return_value
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise RunError(f"an evaluation failed ({reason})") from error


def _finished(chunk: Path) -> list[bytes]:
    """Return what came of a chunk, as far as it was worked on."""
    path = chunk.with_suffix(RESULTS)
    return path.read_bytes().splitlines() if path.exists() else []


def _no_callbacks() -> Any:
    from hydra._internal.callbacks import Callbacks

    return Callbacks()
