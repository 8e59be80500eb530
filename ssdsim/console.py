"""The terminal: where tables and progress go."""

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress


@cache
def console() -> "Console":
    """Return the console; a pipe gets room for a whole table."""
    from rich.console import Console

    found = Console()
    return found if found.is_terminal else Console(width=110)


def progress() -> "Progress":
    """Return a progress display on stderr; it leaves nothing behind and is silent in a pipe."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    to = Console(stderr=True)
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
        console=to,
        transient=True,
        disable=not to.is_terminal,
    )
