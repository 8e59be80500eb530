"""Output to terminals and pipes: any encoding, any width, readers that close early."""

import codecs
import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from unicodedata import name

from ssdsim.errors import RunError

SPELLINGS = {"×": "x", "±": "+-", "–": "-", "−": "-", "·": ".", "…": "...", "≥": ">=", "≤": "<="}
MINIMUM = 30
"""Columns, however narrow a terminal is: there, it breaks lines itself."""


def _spelled(error: UnicodeError) -> tuple[str, int]:
    """Spell what an encoding lacks with characters that it has."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_spelling, error.object[error.start : error.end])), error.end


def _spelling(character: str) -> str:
    kind, _, letter = name(character, "").rpartition(" LETTER ")
    spelled = letter.lower() if kind.startswith("GREEK") else ascii(character)[1:-1]
    return SPELLINGS.get(character, spelled)


codecs.register_error("spelled", _spelled)


def spell() -> None:
    """Let stdout and stderr take every character, whatever their encodings."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # else there is none, or a test looks on
            stream.reconfigure(errors="spelled")


@contextmanager
def printing() -> Iterator[None]:
    """Print to stdout, and end quietly if its reader has gone before the end, as `head` does.

    Raises
    ------
    RunError
        There is no room for it.

    """
    spell()
    try:
        yield
        _flush()
    except BrokenPipeError:
        pass
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise RunError(f"output: cannot be written ({error.strerror})") from error
    finally:
        try:
            _flush()
        except OSError:
            write_to_nobody()  # Python flushes once more at its end, and would complain


def _flush() -> None:
    if sys.stdout:
        sys.stdout.flush()


def write_to_nobody() -> None:
    """Throw away all that is printed to stdout from here on."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
