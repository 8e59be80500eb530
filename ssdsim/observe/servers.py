"""Tells servers apart that wrote into one file, in turns."""

import re
from collections.abc import Hashable, Iterable, Iterator
from typing import TypeVar

Who = TypeVar("Who", bound=Hashable)

WRITER = re.compile(
    r"^\s*(?:\d{4}-\S+\s+)?(?:\x1b\[[0-9;]*m)*(?:(?P<service>[\w.-]+)\s*\||\[(?P<pod>pod/\S+)\]|"
    r"\(ApiServer(?:_\d+)? pid=(?P<process>\d+)\))",
    re.IGNORECASE,
)
"""Before a line: a service of Docker Compose, a pod of Kubernetes, vLLM's own process."""


def writer_of(line: str) -> str:
    """Return who wrote a line of a log; empty where it does not say."""
    found = WRITER.match(line)
    return found[found.lastgroup or 0] if found else ""


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


def of_the_first(lines: Iterable[str], writers: tuple[str, ...]) -> Iterator[str]:
    """Yield the lines that the first of several servers wrote, and those of nobody's."""
    others = {*writers[1:]}
    return (line for line in lines if not others or writer_of(line) not in others)


def left_out(writers: tuple[str, ...]) -> tuple[str, ...]:
    """Return what to say where several servers wrote in turns."""
    if not writers:
        return ()
    return (f"{', '.join(writers)} wrote in turns: only {writers[0]} is read",)
