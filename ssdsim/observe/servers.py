"""Tells servers apart that wrote into one file, in turns."""

import re
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from ssdsim.errors import ConfigError
from ssdsim.observe.files import OPTION, Source

Who = TypeVar("Who", bound=Hashable)

PLACES = (
    r"\[(pod/\S+|\d{4,5})\]",  # a pod of Kubernetes, the port of one of llama.cpp's servers
    r"([\w.-]+)\s*\|",  # a service of Docker Compose
    r"(?:[A-Z][a-z]{2} [ \d]\d [\d:]{8} )?([\w.-]+ \S+\[\d+\]):",  # a host's unit in its journal
    r"(\d{1,4}): ",  # a task of Slurm
    r"(\[\d+,\d+\]<std\w+>):",  # a rank of MPI
    r"([\w.-]+ [\w.-]+) (?=\(\w+ pid=|(?:INFO|WARNING) \d\d-\d\d |\[\d{4}-)",  # stern's pods
)
"""What collectors write before a line to say whose it is."""
WRITER = re.compile(
    rf"\s*(?:\d{{4}}-\d\d-\S+\s+)?(?:std(?:out|err) [FP] )?(?:{'|'.join(PLACES)})?"
    r"\s*(?:\((?P<role>[\w:]+) pid=(?P<process>\d+)(?:, ip=[\d.]+)?\))?"
)
"""Before a line: what a container's runtime adds, a place, then a process of vLLM or of Ray."""
SURE = 2
"""Turns that no restart explains."""


class Writer(NamedTuple):
    """Who wrote a line of a log, as far as it says: where, and as which process in what role."""

    place: str = ""
    role: str = ""
    process: str = ""


def writer_of(line: str) -> Writer:
    """Return who wrote a line of a log."""
    found = WRITER.match(line)
    if not found:
        return Writer()
    place = next(filter(None, found.groups()[: len(PLACES)]), "")
    return Writer(place, found["role"] or "", found["process"] or "")


def in_turns(writers: Iterable[Who]) -> tuple[Who, ...]:
    """Return the writers in order if one comes again after another, else none.

    One that ends where the next begins is the same server, started again.
    """
    order: dict[Who, None] = {}
    last, again = None, False
    for who in writers:
        again = again or (who in order and who != last)
        order[who], last = None, who
    return tuple(order) if again else ()


def of_one_server(
    source: Source, tells: Callable[[str], object]
) -> tuple[Iterator[str], tuple[str, ...]]:
    """Return the lines of the first of a log's servers, and what to say if there are others.

    Parameters
    ----------
    source
        The log.
    tells
        Whether a line is one of those that are read.

    Raises
    ------
    ConfigError
        Processes of several roles wrote in turns: which of them are of one server is not said.

    """
    writers = [writer_of(line) for line in source.head if tells(line)]
    places = in_turns(each.place for each in writers if each.place)
    here = [each for each in writers if not places or each.place in {"", places[0]}]
    processes = _processes(here)
    if len(processes) > 1:
        roles = " and ".join(sorted(processes))
        right = f"{roles} of two servers, told apart by their process ids alone: needs one server"
        raise ConfigError(f"{OPTION}={source.path}: {right}")
    return _lines(source, places, processes), _left_out(places, processes)


def _lines(
    source: Source, places: tuple[str, ...], processes: dict[str, tuple[str, ...]]
) -> Iterator[str]:
    """Yield what the first place and the first process of a role wrote, and what nobody's is."""
    elsewhere = {*places[1:]}
    others = {(role, pid) for role, pids in processes.items() for pid in pids[1:]}
    for line in source.lines():
        if elsewhere or others:
            who = writer_of(line)
            if who.place in elsewhere or (who.role, who.process) in others:
                continue
        yield line


def _processes(writers: Iterable[Writer]) -> dict[str, tuple[str, ...]]:
    """Return the processes of a role that wrote in turns, by role."""
    by_role: dict[str, list[str]] = {}
    for each in writers:
        by_role.setdefault(each.role, []).append(each.process)
    turns = {role: in_turns(pids) for role, pids in by_role.items()}
    return {role: pids for role, pids in turns.items() if pids}


def _left_out(places: tuple[str, ...], processes: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    named = [places, *([f"{role} {pid}" for pid in pids] for role, pids in processes.items())]
    return tuple(f"{', '.join(of)} wrote in turns: only {of[0]} is read" for of in named if of)


@dataclass
class Counts:
    """The values of a counter as a file has them: of one server, or of several in turns.

    A counter that falls has begun again, far below; where it falls to more than it once counted,
    servers count beside each other.

    Attributes
    ----------
    lasts
        Where each of the counts stands that there seem to be.
    last
        The last value.
    turns
        How often it fell to what another count had come to.

    """

    lasts: list[float] = field(default_factory=list)
    last: float = 0.0
    turns: int = 0

    def add(self, value: float) -> None:
        """Take the next value."""
        grown = [at for at, own in enumerate(self.lasts) if own <= value]
        at = max(grown, key=lambda each: self.lasts[each], default=len(self.lasts))
        self.turns += bool(grown) and value < self.last
        self.lasts[at:] = [value, *self.lasts[at + 1 :]]
        self.last = value

    @property
    def of_several(self) -> bool:
        """Whether they are of several servers."""
        return self.turns >= SURE
