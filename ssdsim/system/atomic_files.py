"""Writes files atomically: under temporary names first, then moved to their places."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

PARTIALS = ".*.partial.*"
"""What a process that was killed may have left."""


@contextmanager
def replacing(directory: Path) -> Iterator[Callable[[str], Path]]:
    """Say where to write files first: in this order they are moved in, or none is left."""
    partials: dict[str, Path] = {}
    own = uuid4().hex

    def partial(name: str) -> Path:
        partials[name] = directory / f".{own}.partial.{name}"
        return partials[name]

    try:
        yield partial
        for name, path in partials.items():
            path.replace(directory / name)
    finally:
        for path in partials.values():
            path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file so that no reader ever sees half of it."""
    with replacing(path.parent) as partial:
        partial(path.name).write_text(text, encoding="utf-8")
