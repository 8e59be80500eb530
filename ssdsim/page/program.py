"""Makes the page of a run directory, or of two runs above each other."""

import sys
from pathlib import Path

from ssdsim.system.parser import Parser


def parser() -> Parser:
    """Return the command line's parser."""
    parser = Parser(
        prog="python -m ssdsim.page",
        description="Make the page of a run, or of two: the first above, the second below it.",
    )
    add = parser.add_argument
    add("run", type=Path, metavar="RUN", help="a run directory")
    add("below", type=Path, metavar="RUN2", nargs="?", help="another one, to be compared with it")
    add("--out", type=Path, help="the page; page.html in the first run directory by default")
    add("--without-texts", action="store_true", help="leave out token ids and their texts")
    return parser


def main(arguments: list[str]) -> None:
    """Write the page, and say where.

    Raises
    ------
    ConfigError
        A run cannot be read, or the page not be written there.

    """
    given = parser().parse_args(arguments)
    from ssdsim.page.pack import packed, payload
    from ssdsim.page.write import write
    from ssdsim.run.trace import open_run
    from ssdsim.system.destination import file, writing

    runs = [open_run(path) for path in (given.run, given.below) if path is not None]
    out = file("--out", given.out or given.run / "page.html")
    with writing("--out", out):
        write(payload(*(packed(run, not given.without_texts) for run in runs)), out)
    sys.stdout.write(f"page: {out}\n")
