"""Run every check and measurement of a GPU machine in one command, in resumable parts.

`python -m ssdreal.gpu_check --out DIR` runs the lossless tests on the GPU, measures its ceilings,
decodes with real and with scripted pairs (AR, SD, SSD; graphs and eager; several splits), compares
with transformers, measures profiles for ssdsim, and holds scripted runs against what ssdsim says of
them. Each part is a command of its own with a log in DIR. Parts that have been done are not done
again, so the same command goes on where it stopped; what the runs come to is in DIR/verdict.json,
and all that is small is put into one archive in DIR.
"""

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from ssdreal.command.arguments import check_ranges
from ssdreal.gpu_check.arguments import parser
from ssdreal.gpu_check.part_runner import Done, Part, PartRunner
from ssdreal.gpu_check.parts import TESTS, Wanted, parts
from ssdreal.gpu_check.verdict import judged, save, summary, table
from ssdsim.command.console import ending, say, speak_as, table_console
from ssdsim.errors import require
from ssdsim.system.destination import own_folder, taken

MINUTES = 9.0
MOST_LINES = 12
"""Of the log of a part that failed."""


@dataclass(frozen=True)
class CheckOptions:
    """What the command line asks for."""

    wanted: Wanted
    minutes: float = MINUTES
    only: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Where everything goes."""
        return self.wanted.folder

    @property
    def parts(self) -> list[Part]:
        """The parts wanted, in order."""
        every = parts(self.wanted)
        known = [part.name for part in every]
        for name in self.only:
            require(name in known, "--parts", name, f"must be among {', '.join(known)}")
        return [part for part in every if not self.only or part.name in self.only]


def asked(arguments: list[str] | None = None) -> CheckOptions:
    """Read the command line.

    Raises
    ------
    ConfigError
        An argument is not possible.

    """
    given = check_ranges(parser().parse_args(arguments), {"minutes": (0.1, 1440)})
    out = own_folder("--out", given.out).resolve()
    return CheckOptions(Wanted(out), given.minutes, tuple(given.parts))


def check(question: CheckOptions, console: Console) -> int:
    """Run what is not done yet, and show what it came to; return how many parts went wrong."""
    wanted = question.parts
    if not TESTS.is_file():
        say("the tests are left out: they are in a checkout, and this package is installed")
    part_runner = PartRunner(question.folder, 60 * question.minutes)
    wrong = 0
    try:
        for part, done in part_runner.run(wanted):
            console.print(_line(question.folder, part, done), highlight=False, markup=False)
            wrong += done is not None and done.code != 0
    finally:
        _judge(question, console)
        console.print(f"all that is small: {part_runner.pack()}", soft_wrap=True)
    return wrong


def _judge(question: CheckOptions, console: Console) -> None:
    """Say what the runs so far come to."""
    found = judged(question.folder)
    if found:
        save(question.folder, found)
        console.print(table(found))
        console.print(summary(found))


def _line(folder: Path, part: Part, done: Done | None) -> str:
    if done is None:
        return f"{part.name}: no time left; the same command goes on with it"
    if done.code == 0:
        return f"{part.name}: done in {done.seconds:.0f} s"
    log = (folder / f"{part.name}.log").read_text(errors="replace").splitlines()
    return "\n  ".join([f"{part.name}: ended with code {done.code}", *log[-MOST_LINES:]])


def main(arguments: list[str] | None = None) -> None:
    """Check, and end with 1 where a part went wrong."""
    speak_as("ssdreal.gpu_check")
    with ending("interrupted; the same command goes on where it stopped"):
        question = asked(arguments)
        with taken("--out", question.folder):
            wrong = check(question, table_console(118))
        raise SystemExit(1 if wrong else 0)
