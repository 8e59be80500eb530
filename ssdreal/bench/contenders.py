"""Runs every contender (AR, SD, SSD) on the same prompts, and keeps the workers' timings."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from ssdreal.channel.messages import Done, Verified
from ssdreal.command.journal import RUN, Form, plain
from ssdreal.executor.setup import Setup
from ssdreal.executor.sitting import Sitting
from ssdreal.executor.workload import Task
from ssdreal.places.places import Places
from ssdreal.workers.crew import Crew
from ssdsim.errors import RunError
from ssdsim.run.trace import Run


@dataclass(frozen=True)
class Contender:
    """A way to decode.

    Attributes
    ----------
    name
        As tables call it.
    setup
        Method and settings; its number of prompts is filled in when it runs.
    places
        Where the models run.

    """

    name: str
    setup: Setup
    places: Places


@dataclass(frozen=True)
class Piece:
    """What a worker did for one command.

    Attributes
    ----------
    lane
        "target" or "draft".
    verify
        Whether it was a verify.
    start, end
        Seconds from the run's start.
    passes
        Seconds of it in passes of the model.

    """

    lane: str
    verify: bool
    start: float
    end: float
    passes: float

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.end - self.start


@dataclass(frozen=True)
class Measured:
    """A run, and what its workers did."""

    run: Run
    pieces: tuple[Piece, ...]

    @property
    def tokens_per_s(self) -> float:
        """Decoding speed without prefill."""
        return float(self.run.metrics["tokens_per_s"])


def _write(path: Path, measured: Measured) -> None:
    PIECES.write(path / "pieces", measured.pieces)
    RUN.write(path, measured.run)


PIECES = plain(tuple[Piece, ...])
MEASURED = Form(_write, lambda path: Measured(RUN.read(path), PIECES.read(path / "pieces")))
"""A run's directory, and what its workers did."""


@dataclass(frozen=True)
class Contest:
    """Runs contenders on the same prompts, in one sitting."""

    sitting: Sitting
    tasks: Sequence[Task]

    def first(self, count: int) -> "Contest":
        """Return a contest with the first prompts only."""
        return replace(self, tasks=self.tasks[:count])

    def run(self, contender: Contender) -> Measured:
        """Run a contender once over all prompts.

        Raises
        ------
        RunError
            The draft's worker was lost on the way.

        """
        workload = replace(contender.setup.workload, prompts=len(self.tasks))
        setup = replace(contender.setup, workload=workload)
        running = self.sitting.execution(setup, contender.places, self.tasks)
        answers: list[tuple[str, Done]] = []
        with running.ready() as session, _listening(running.crew, answers):
            running.env.run(running.env.process(setup.method.decode(session)))
        running.complete = True
        if running.lost:
            raise RunError(f"the draft was lost: {running.lost}")
        pieces = [_piece(role, done, running.env.origin) for role, done in answers]
        return Measured(running.result(), tuple(piece for piece in pieces if piece.start >= 0))


@contextmanager
def _listening(crew: Crew, answers: list[tuple[str, Done]]) -> Iterator[None]:
    """Note every answer that comes meanwhile, and whose it is."""
    remotes = (crew.target, crew.draft)
    for remote in remotes:
        remote.on_done = partial(_note, answers, remote.role)
    try:
        yield
    finally:
        for remote in remotes:
            remote.on_done = lambda _: None


def _note(answers: list[tuple[str, Done]], role: str, done: Done) -> None:
    answers.append((role, done))


def _piece(role: str, done: Done, origin: int) -> Piece:
    start, end = ((reading - origin) * 1e-9 for reading in (done.start, done.end))
    return Piece(role, isinstance(done.value, Verified), start, end, done.passes * 1e-9)
