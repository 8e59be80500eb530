"""Evaluates trials through one of Hydra's launchers, and keeps what was evaluated.

So a tuning uses the cores of this machine (`hydra/launcher=joblib`) or a cluster, as sweeps do.
Every launch is of a few jobs with many trials each, since a job takes longer to begin than a trial.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.types import HydraContext
from omegaconf import DictConfig

from ssdsim.errors import RunError
from ssdsim.tune.evaluation import Bench, Figures, Trial
from ssdsim.tune.search_space import words
from ssdsim.tune.worlds import World

KEPT = "evaluations.jsonl"
JOBS = 4
"""Jobs of a launch for every core: they do not all take as long."""
LEAST = 4
"""Trials of a job, if there are so many."""


class Known(msgspec.Struct):
    """A line of what was evaluated."""

    options: str
    world: World
    figures: Figures


class Chunk(msgspec.Struct):
    """What a job evaluates."""

    words: tuple[str, ...]
    acceptance: float
    times: float
    trials: list[tuple[list[tuple[str, Any]], World]]


@dataclass
class Evaluations:
    """Evaluates trials, each once.

    Attributes
    ----------
    bench
        Says how; evaluations take place in processes of their own.
    launch
        Runs jobs with these files and returns what came of each.
    file
        Where everything evaluated is kept.
    advance
        Called with the number of trials just evaluated.

    """

    bench: Bench
    launch: Callable[[Sequence[Chunk]], Iterable[list[Figures]]]
    file: Path
    advance: Callable[[int], None] = lambda _: None
    known: dict[tuple[str, World], Figures] = field(default_factory=dict)
    fresh: int = 0

    def __post_init__(self) -> None:
        if self.file.exists():
            for line in self.file.read_bytes().splitlines():
                with suppress(msgspec.DecodeError):  # the last one, if it was being written
                    one = msgspec.json.decode(line, type=Known)
                    self.known[one.options, one.world] = one.figures

    def figures(self, trials: Sequence[Trial]) -> list[Figures]:
        """Return what trials come to."""
        wanted = {_key(trial): trial for trial in trials}
        todo = [trial for key, trial in wanted.items() if key not in self.known]
        chunks = _dealt(todo)
        found = self.launch([self._chunk(of) for of in chunks]) if todo else ()
        for of, figures in zip(chunks, found, strict=True):
            self._keep(of, figures)
        return [self.known[_key(trial)] for trial in trials]

    def _chunk(self, trials: Sequence[Trial]) -> Chunk:
        bench = self.bench
        each = [(list(trial.options), trial.world) for trial in trials]
        return Chunk(bench.words, bench.acceptance, bench.times, each)

    def _keep(self, trials: Sequence[Trial], found: Sequence[Figures]) -> None:
        lines = []
        for trial, figures in zip(trials, found, strict=True):
            self.known[_key(trial)] = figures
            lines.append(msgspec.json.encode(Known(*_key(trial), figures)) + b"\n")
        with self.file.open("ab") as file:
            file.write(b"".join(lines))
        self.fresh += len(lines)
        self.advance(len(lines))


def _key(trial: Trial) -> tuple[str, World]:
    return words(trial.options), trial.world


def _dealt(trials: Sequence[Trial]) -> list[list[Trial]]:
    """Deal trials out to jobs, neighbours to different ones."""
    jobs = max(1, min(JOBS * (os.cpu_count() or 1), len(trials) // LEAST))
    return [list(trials[at::jobs]) for at in range(jobs)] if trials else []


def launcher(config: DictConfig, folder: Path) -> Callable[[Sequence[Chunk]], list[list[Figures]]]:
    """Return what evaluates chunks through the launcher that a config chooses.

    Parameters
    ----------
    config
        Composed, with its section `hydra`.
    folder
        Where chunks are put for the jobs.

    """
    context = HydraContext(GlobalHydra.instance().config_loader(), _no_callbacks())
    chosen = Plugins.instance().instantiate_launcher(
        hydra_context=context, task_function=evaluate, config=config
    )

    def launch(chunks: Sequence[Chunk]) -> list[list[Figures]]:
        with TemporaryDirectory(dir=folder, prefix=".chunks.") as own:
            paths = [Path(own, f"{number}.json") for number in range(len(chunks))]
            for path, chunk in zip(paths, chunks, strict=True):
                path.write_bytes(msgspec.json.encode(chunk))
            jobs = [[f"tune.chunk='{path.absolute()}'"] for path in paths]
            return [_result(job) for job in chosen.launch(jobs, initial_job_idx=0)]

    return launch


def _no_callbacks() -> Any:
    from hydra._internal.callbacks import Callbacks

    return Callbacks()


def _result(job: Any) -> list[Figures]:
    try:
        encoded = job.return_value
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise RunError(f"an evaluation failed ({reason})") from error
    return msgspec.json.decode(encoded, type=list[Figures])


def evaluate(config: DictConfig) -> bytes:
    """Evaluate the chunk that a job is given, in whatever process it runs."""
    from ssdsim.command.config import register

    register()
    chunk = msgspec.json.decode(Path(config.tune.chunk).read_bytes(), type=Chunk)
    bench = _bench(chunk.words, chunk.acceptance, chunk.times)
    trials = [
        Trial(tuple((name, value) for name, value in options), world)
        for options, world in chunk.trials
    ]
    return msgspec.json.encode([bench.figures(trial) for trial in trials])


@cache
def _bench(words: tuple[str, ...], acceptance: float, times: float) -> Bench:
    """Return the bench of a process, which keeps what it has read."""
    return Bench(words, acceptance, times)
