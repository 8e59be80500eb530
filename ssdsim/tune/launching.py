"""Evaluates trials through one of Hydra's launchers, and keeps what was evaluated.

So a tuning uses the cores of this machine (`hydra/launcher=joblib`) or a cluster, as sweeps do.
Every launch is of a few jobs with many trials each, since a job takes longer to begin than a trial.
"""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from omegaconf import DictConfig

from ssdsim.command.launching import append_lines, worked_on
from ssdsim.command.launching import launcher as shared_launcher
from ssdsim.tune.evaluation import Bench, Figures, Trial
from ssdsim.tune.options import SECTION
from ssdsim.tune.search_space import words
from ssdsim.tune.worlds import World

KEPT = "evaluations.jsonl"
JOBS = 4
"""Jobs of a launch for every core: they do not all take as long."""
LEAST = 4
"""Trials of a job, if there are so many."""


class Known(msgspec.Struct):
    """A line of what was evaluated: of which question, a candidate in a world."""

    of: str
    options: str
    world: World
    figures: Figures


class Chunk(msgspec.Struct):
    """What a job evaluates."""

    words: tuple[str, ...]
    acceptance: float | None
    times: float | None
    devices: int | None
    trials: list[tuple[list[tuple[str, Any]], World]]


Key = tuple[str, str, World]
"""Of a trial, as `Known` has it."""
Done = Callable[[int, list[Figures]], None]
"""Is told which chunk, and what its first trials, or all of them, have come to."""


@dataclass
class Evaluations:
    """Evaluates trials, each once.

    Attributes
    ----------
    bench
        Says how; evaluations take place in processes of their own.
    launch
        Evaluates chunks and says what came of each, also where it is interrupted.
    file
        Where everything evaluated is kept.
    advance
        Called with the number of trials just evaluated.
    known
        What was asked for.
    fresh
        How many of these were not in the file before.

    """

    bench: Bench
    launch: Callable[[Sequence[Chunk], Done], None]
    file: Path
    advance: Callable[[int], None] = lambda _: None
    known: dict[Key, Figures] = field(default_factory=dict)
    fresh: int = 0

    def __post_init__(self) -> None:
        self._kept: dict[Key, Figures] = {}
        if self.file.exists():
            for line in self.file.read_bytes().splitlines():
                with suppress(msgspec.DecodeError):  # the last one, if it was being written
                    one = msgspec.json.decode(line, type=Known)
                    self._kept[one.of, one.options, one.world] = one.figures

    def figures(self, trials: Sequence[Trial]) -> list[Figures]:
        """Return what trials come to."""
        keys = [self._key(trial) for trial in trials]
        wanted = dict(zip(keys, trials, strict=True))
        chunks = _dealt([trial for key, trial in wanted.items() if key not in self._kept])
        if chunks:
            self.launch(
                [self._chunk(of) for of in chunks], lambda at, found: self._keep(chunks[at], found)
            )
        self.known |= {key: self._kept[key] for key in wanted}
        return [self.known[key] for key in keys]

    def _key(self, trial: Trial) -> Key:
        return self.bench.mark(trial), words(trial.options), trial.world

    def _chunk(self, trials: Sequence[Trial]) -> Chunk:
        bench = self.bench
        each = [(list(trial.options), trial.world) for trial in trials]
        return Chunk(bench.words, bench.acceptance, bench.times, bench.devices, each)

    def _keep(self, trials: Sequence[Trial], found: Sequence[Figures]) -> None:
        done = {self._key(trial): figures for trial, figures in zip(trials, found, strict=False)}
        lines = [msgspec.json.encode(Known(*key, figures)) for key, figures in done.items()]
        append_lines(self.file, lines)
        self._kept |= done
        self.fresh += len(done)
        self.advance(len(done))


def _dealt(trials: Sequence[Trial]) -> list[list[Trial]]:
    """Deal trials out to jobs, neighbours to different ones."""
    jobs = max(1, min(JOBS * (os.cpu_count() or 1), len(trials) // LEAST))
    return [list(trials[at::jobs]) for at in range(jobs)] if trials else []


def launcher(config: DictConfig, folder: Path) -> Callable[[Sequence[Chunk], Done], None]:
    """Return what evaluates chunks through the launcher that a config chooses.

    `folder` is where they are put for the jobs, and where these write what comes of them.
    """
    launch = shared_launcher(config, SECTION, folder, evaluate)

    def evaluating(chunks: Sequence[Chunk], done: Done) -> None:
        encoded = [msgspec.json.encode(chunk) for chunk in chunks]
        launch(encoded, lambda at, lines: done(at, _figures(lines)))

    return evaluating


def _figures(lines: Sequence[bytes]) -> list[Figures]:
    """Return what came of a chunk's trials, as far as they were evaluated."""
    found = []
    for line in lines:
        with suppress(msgspec.DecodeError):  # the last one, if it was being written
            found.append(msgspec.json.decode(line, type=Figures))
    return found


def evaluate(config: DictConfig) -> None:
    """Evaluate the chunk that a job is given, in whatever process it runs."""
    _ready()
    path = Path(config.tune.chunk)
    chunk = msgspec.json.decode(path.read_bytes(), type=Chunk)
    bench = _bench(chunk.words, chunk.acceptance, chunk.times, chunk.devices)

    def work(trial: tuple[list[tuple[str, Any]], World]) -> bytes:
        options, world = trial
        own = tuple((name, value) for name, value in options)
        return msgspec.json.encode(bench.figures(Trial(own, world)))

    worked_on(path, chunk.trials, work)


@cache
def _ready() -> None:
    """Let Hydra know the options, once in a process."""
    from ssdsim.command.config import register

    register()


@cache
def _bench(
    words: tuple[str, ...], acceptance: float | None, times: float | None, devices: int | None
) -> Bench:
    """Return the bench of a process, which keeps what it has read."""
    return Bench(words, acceptance, times, devices)
