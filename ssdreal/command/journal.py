"""Keeps the finished pieces of a command's work, so that a later one goes on where it stopped.

Every piece is written whole, and its name goes into the journal after it: what the journal does not
name was not finished, or is of another time. So a command may be killed at any second.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from reprlib import repr as short
from shutil import rmtree
from typing import Any, Generic, TypeVar

import msgspec

from ssdsim.errors import ConfigError
from ssdsim.run.results import provenance
from ssdsim.run.trace import Run, load_run
from ssdsim.system.atomic_files import PARTIALS, replacing, write_text

Piece = TypeVar("Piece")
NAME = "journal.json"


@dataclass(frozen=True)
class Form(Generic[Piece]):
    """How pieces of one type are written to a path, atomically, and read from it."""

    write: Callable[[Path, Piece], None]
    read: Callable[[Path], Piece]


def plain(kind: type[Piece]) -> Form[Piece]:
    """Return the form of a type of plain values: numbers, texts, lists, dataclasses of these."""
    return Form(_write_plain, lambda path: msgspec.msgpack.decode(path.read_bytes(), type=kind))


def _write_plain(path: Path, piece: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path.parent) as partial:
        partial(path.name).write_bytes(msgspec.msgpack.encode(piece))


RUN: Form[Run] = Form(lambda path, run: run.save_small(path), load_run)
"""A run's directory, without the timeline."""


@dataclass
class Journal:
    """What a command has finished.

    Attributes
    ----------
    file
        Of the journal; the pieces lie beside it, each under its name.
    asked
        The options that they are made with, as JSON has them.
    finished
        Names of the pieces, in the order in which they were made.

    """

    file: Path
    asked: Mapping[str, Any]
    finished: list[str] = field(default_factory=list)

    def once(self, name: str, form: Form[Piece], make: Callable[[], Piece]) -> Piece:
        """Return a piece: as it was kept, or made now, and kept."""
        path = self.file.parent / name
        if name in self.finished:
            with suppress(ConfigError, OSError, ValueError):  # lost since: it is made again
                return form.read(path)
        piece = make()
        self._write()  # before the piece: an older one of that name is none of this journal's
        form.write(path, piece)
        self.finished = [*(known for known in self.finished if known != name), name]
        self._write()
        return piece

    def discard(self) -> None:
        """Remove the journal's folder, once a result holds what its pieces were for."""
        self.file.unlink(missing_ok=True)  # first: it must name no piece that is gone
        rmtree(self.file.parent, ignore_errors=True)

    def _write(self) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        content = {"asked": self.asked, "finished": self.finished}
        write_text(self.file, json.dumps(content, indent=1) + "\n")


def journal(file: Path, asked: Mapping[str, Any], *, resume: bool) -> Journal:
    """Return a command's journal: a new one, or the one that it goes on with.

    Parameters
    ----------
    file
        Where it is, or will be.
    asked
        The options that decide what pieces are; machine and versions are added.
    resume
        Whether to go on with what is there, if anything is.

    Raises
    ------
    ConfigError
        What is there was made with other options, or cannot be read.

    """
    wanted = json.loads(json.dumps({**asked, **_where()}))
    if not (resume and file.exists()):
        return Journal(file, wanted)
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        made_with, finished = dict(content["asked"]), list(content["finished"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        right = f"{file} is not readable ({error}); start anew without it"
        raise ConfigError(f"--resume: {right}") from error
    for name, value in wanted.items():
        if (before := made_with.get(name)) != value:
            right = f"needs {short(before)}, which what is kept in {file.parent} was made with"
            raise ConfigError(f"--resume: {name}={short(value)}: {right}")
    for partial in file.parent.rglob(PARTIALS):
        partial.unlink()
    return Journal(file, wanted, finished)


def _where() -> dict[str, Any]:
    """Say what measures, and on which machine: times of two must not be mixed."""
    made = provenance()
    return {"versions": made["versions"], "machine": made["machine"]}


def digest(content: object) -> str:
    """Return a short text that is another one for other plain values."""
    return sha256(msgspec.msgpack.encode(content)).hexdigest()[:16]
