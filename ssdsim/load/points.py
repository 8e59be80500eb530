"""Simulates configurations at rates, each once, and keeps what came of it."""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from omegaconf import DictConfig

from ssdsim.command.launching import Launch, append_lines, worked_on
from ssdsim.errors import ConfigError

if TYPE_CHECKING:
    from ssdsim.command.setting import Setting

KEPT = "points.jsonl"
JOBS = 4
"""Jobs of a launch for every core: they do not all take as long."""

Words = tuple[str, ...]
Figures = dict[str, float | None]
"""The metrics of a run that are numbers, by name; seconds, tokens, requests and shares."""


class Point(msgspec.Struct, frozen=True):
    """What a command line came to; `refused` says why it cannot be run."""

    words: Words
    figures: Figures = {}
    refused: str = ""


@dataclass
class Points:
    """Simulates command lines.

    Attributes
    ----------
    launch
        Has chunks of them worked on.
    file
        Where everything simulated is kept.
    advance
        Called with the number of those just simulated.
    known
        What has been simulated.

    """

    launch: Launch
    file: Path
    advance: Callable[[int], None] = lambda _: None
    known: dict[Words, Point] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.file.exists():
            self._learn(self.file.read_bytes().splitlines())

    def of(self, asked: Sequence[Words]) -> list[Point]:
        """Return what command lines come to."""
        new = [words for words in dict.fromkeys(asked) if words not in self.known]
        if new:
            jobs = min(JOBS * (os.cpu_count() or 1), len(new))
            chunks = [msgspec.json.encode(each) for each in _dealt(new, jobs)]
            self.launch(chunks, lambda _, lines: self._keep(lines))
        return [self.known[words] for words in asked]

    def _keep(self, lines: Sequence[bytes]) -> None:
        append_lines(self.file, lines)
        self._learn(lines)
        self.advance(len(lines))

    def _learn(self, lines: Sequence[bytes]) -> None:
        for line in lines:
            with suppress(msgspec.DecodeError):  # the last one, if it was being written
                point = msgspec.json.decode(line, type=Point)
                self.known[point.words] = point


def _dealt(lines: Sequence[Words], jobs: int) -> list[list[Words]]:
    """Deal command lines out to jobs: those of a configuration stay together, being neighbours."""
    ends = [len(lines) * number // jobs for number in range(jobs + 1)]
    return [list(lines[start:end]) for start, end in pairwise(ends)]


def simulate_chunk(config: DictConfig) -> None:
    """Simulate the command lines that a job is given."""
    _ready()
    path = Path(config.load.chunk)
    chunk = msgspec.json.decode(path.read_bytes(), type=list[Words])
    worked_on(path, chunk, lambda words: msgspec.json.encode(simulated(words)))


def simulated(words: Words) -> Point:
    """Return what a command line, the last word of which says the rate, comes to."""
    from ssdsim.engine.simulation import evaluate

    *others, rate = words
    name, _, value = rate.partition("=")
    try:
        metrics = evaluate(_setting(tuple(others)).changed([(name, float(value))])).metrics
    except ConfigError as error:
        return Point(words, refused=str(error))
    numbers = {n: of for n, of in metrics.items() if of is None or isinstance(of, int | float)}
    return Point(words, numbers)


@lru_cache(maxsize=32)
def _setting(words: Words) -> "Setting":
    """Compose what all rates of a configuration have in common, which takes a while."""
    from ssdsim.command.composing import setting

    return setting(words)


@cache
def _ready() -> None:
    """Let Hydra know the options, once in a process."""
    from ssdsim.command.config import register

    register()
