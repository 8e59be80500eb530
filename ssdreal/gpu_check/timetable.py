"""The check's parts, what each is expected to take, and how long it may take at most.

What compiling takes is an estimate. A function is compiled once for each shape of its inputs, on
all cores, and is found in the caches from then on; but each process traces it anew, on one core.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Shape = tuple[object, ...]
"""A compiled function's name, and what of its inputs it is compiled for."""

COMPILING = {"through": 4.0, "gumbel": 7.0}
"""Core-seconds of a function's compilation for one GPU; of any other: `OTHERS`."""

OTHERS = 3.0
TRACING = 0.5
"""Seconds in which a process looks a compiled function up."""


@dataclass(frozen=True)
class Part:
    """A piece of the check.

    Attributes
    ----------
    name
        Of its log as well.
    command
        What to run.
    seconds
        That it is expected to take where all is compiled already.
    shapes
        What it compiles where nothing is.
    environment
        Variables that its process has beside this one's.

    """

    name: str
    command: Sequence[str]
    seconds: float
    shapes: frozenset[Shape] = frozenset()
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Call:
    """Parts to be asked for in one call of the command, on a machine that is lent for a while.

    Attributes
    ----------
    name
        As `--parts` takes it.
    seconds
        That they may take together.

    """

    name: str
    seconds: float
    parts: tuple[Part, ...]


@dataclass
class Timetable:
    """What parts are expected to take.

    Attributes
    ----------
    cores
        That compile.
    compiled
        What has been compiled so far.

    """

    cores: int = os.cpu_count() or 1
    compiled: frozenset[Shape] = frozenset()

    def expected(self, part: Part) -> float:
        """Return the seconds of a part, with those of what it has yet to compile."""
        return part.seconds + self.compiling(part)

    def compiling(self, part: Part) -> float:
        """Return the seconds that a part compiles."""
        work = sum(COMPILING.get(str(shape[0]), OTHERS) for shape in self.new(part))
        return TRACING * len(part.shapes) + work / self.cores

    def new(self, part: Part) -> frozenset[Shape]:
        """Return what a part is the first to compile."""
        return part.shapes - self.compiled


def limit(expected: Sequence[float], left: float) -> float | None:
    """Return the seconds that the first of some parts may take; None if it would not fit.

    It may take twice what is expected, but nothing that later ones need which fit as well: so one
    that hangs costs no other part its results.

    Parameters
    ----------
    expected
        Seconds of each part.
    left
        Seconds for all of them.

    """
    first, *others = expected
    if first > left:
        return None
    spare = left - first
    for other in others:
        spare -= other if other <= spare else 0.0
    return first + min(first, spare)
