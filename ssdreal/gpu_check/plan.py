"""Prints what a check would run, what it is expected to take, and what of it fits."""

from collections.abc import Collection, Iterator, Sequence
from math import ceil
from typing import NamedTuple

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ssdreal.gpu_check.timetable import TRACING, Call, Part, Timetable, limit

NOTE = (
    "Seconds are estimates: none of this has been timed on a GPU. To compile: shapes that are in "
    "no cache yet, on {cores} cores, and {tracing:g} s for each shape of a part to be looked up. A "
    "part is stopped at its limit, which leaves later ones of its call what they are expected to "
    "take."
)
TYPED = "One call: python -m ssdreal.gpu_check --out DIR --parts {name}"


class Row(NamedTuple):
    """A part as it is planned.

    Attributes
    ----------
    expected, compiling
        Seconds, and those of them that go into compiling.
    new
        Shapes that it is the first to compile.
    limit
        Seconds after which it is stopped; None: it does not fit.

    """

    part: Part
    expected: float
    compiling: float
    new: int
    limit: float | None


def rows(
    call: Call, timetable: Timetable, left: float, done: Collection[str] = ()
) -> Iterator[Row]:
    """Yield a call's parts as they would be run if each took what is expected.

    Parameters
    ----------
    call
        With the parts that are wanted.
    timetable
        Is told what each part compiles.
    left
        Seconds for this call and those behind it.
    done
        Names of parts that are not run again.

    """
    parts = [part for part in call.parts if part.name not in done]
    left = min(left, call.seconds)
    for at, part in enumerate(parts):
        expected = [timetable.expected(each) for each in parts[at:]]
        most, new = limit(expected, left), len(timetable.new(part))
        yield Row(part, expected[0], timetable.compiling(part), new, most)
        if most is not None:
            left -= expected[0]
            timetable.compiled |= part.shapes


def plan(
    calls: Sequence[Call],
    minutes: float,
    timetable: Timetable,
    console: Console,
    done: Collection[str] = (),
) -> None:
    """Print parts by calls, in order, and which of them one command of so many minutes would run.

    Parameters
    ----------
    calls
        With the parts that are wanted.
    minutes
        That there are.
    timetable
        Of them.
    console
        Where to print.
    done
        Names of parts that are not run again.

    """
    table, left = _table(minutes), 60 * minutes
    wanted = [call for call in calls if call.parts]
    for call in wanted:
        planned = list(rows(call, timetable, left, done))
        left -= sum(row.expected for row in planned if row.limit is not None)
        table.add_row(f"[bold]{call.name}[/bold]", _of(call, planned))
        for row in planned:
            table.add_row(*_cells(row))
        for name in (part.name for part in call.parts if part.name in done):
            table.add_row(f"  {name}", "", "", "", "", "done")
        table.add_section()
    console.print(table)
    note = NOTE.format(cores=timetable.cores, tracing=TRACING)
    for line in (note, TYPED.format(name=wanted[0].name)):
        console.print(line, highlight=False)


def _of(call: Call, planned: Sequence[Row]) -> str:
    """Say what a call's parts take of its time; further and many are asked for again and again."""
    total = sum(row.expected for row in planned)
    times = ceil(total / call.seconds)
    return f"{total:.0f} of " + (f"{times} x " if times > 1 else "") + f"{call.seconds:.0f}"


def _table(minutes: float) -> Table:
    table = Table(title="what a GPU machine is asked, in order", box=SIMPLE_HEAD)
    table.title_justify = "left"
    table.add_column("call, part")
    for column in ("expected, s", "compiling, s", "new shapes", "limit, s", f"in {minutes:g} min"):
        table.add_column(column, justify="right")
    return table


def _cells(row: Row) -> tuple[str, ...]:
    fits = row.limit is not None
    return (
        f"  {row.part.name}",
        f"{row.expected:.0f}",
        f"{row.compiling:.0f}" if row.part.shapes else "-",
        str(row.new) if row.part.shapes else "-",
        f"{row.limit:.0f}" if row.limit is not None else "-",
        "yes" if fits else "no",
    )
