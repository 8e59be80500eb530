"""Output to the terminal: tables, progress bars and one-line errors."""

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, NoReturn

from ssdsim.errors import ConfigError, RunError
from ssdsim.system.interrupts import interruptible, undisguised
from ssdsim.system.terminal import spell, write_to_nobody

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""What a disk may say that has been written to before."""

ROOM = 60
"""Columns of a terminal that tables are fitted to."""

_speaker = "ssdsim"


def speak_as(program: str) -> None:
    """Begin all further lines on stderr with the name of this program."""
    global _speaker  # noqa: PLW0603 - there is one terminal
    _speaker = program


@cache
def console() -> "Console":
    """Return the console; a pipe gets room for a whole table.

    So does a narrow terminal, which breaks the lines, and one of unknown width: no number is cut.
    """
    found = table_console()
    return found if found.is_terminal and found.width >= ROOM else table_console(110)


def table_console(width: int | None = None) -> "Console":
    """Return a console on stdout; None: as wide as the terminal.

    A reader that goes away ends no work: what is not printed is still written down.
    """
    from rich.console import Console

    class Tables(Console):
        def on_broken_pipe(self) -> None:
            write_to_nobody()

    spell()  # once more in the processes of a launcher
    return Tables(width=width)


def progress(shown: bool = True) -> "Progress":
    """Return a progress display on stderr; it leaves nothing behind and is silent in a pipe."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    to = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        console=to,
        transient=True,
        refresh_per_second=2,  # each time takes a core from whoever works there
        disable=not (shown and to.is_terminal),
    )


def show(page: str) -> None:
    """Print a page to stdout."""
    print(page)  # noqa: T201 - for plain text, rich is too slow to load


def say(message: str) -> None:
    """Print one line to stderr."""
    print(f"{_speaker}: {' '.join(message.split())}", file=sys.stderr)  # noqa: T201 - nothing else does


@contextmanager
def ending(interrupted: str = "interrupted") -> Iterator[None]:
    """End with one line where an error or an interrupt ends a command.

    Exit code 2 is for bad input, 1 for what went wrong on the way, 130 for Ctrl-C and its like.
    """
    interruptible()
    try:
        with undisguised():
            yield
    except ConfigError as error:
        fail(str(error))
    except RunError as error:
        say(str(error))
        sys.exit(1)
    except OSError as error:
        complain_of_disk(error)
    except KeyboardInterrupt:
        end_interrupted(interrupted)


def complain_of_disk(error: OSError) -> NoReturn:
    """End with one line where a disk is full or has become read-only; raise any other error."""
    if error.errno not in FULL:
        raise error
    say(f"{error.filename or 'output'}: cannot be written ({error.strerror})")
    sys.exit(1)


def end_interrupted(message: str) -> NoReturn:
    """End with one line and the exit code for interrupts."""
    say(message)
    exec("")  # noqa: S102 - else Python would end by the signal if it came in one, as imports have
    sys.exit(130)


def fail(message: str) -> NoReturn:
    """End with one line and the exit code for bad input."""
    say(message)
    sys.exit(2)
