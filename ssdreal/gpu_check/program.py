"""Everything that a GPU machine should be asked while there is one, in a few calls.

`python -m ssdreal.gpu_check --out DIR` runs parts, each a command of its own with its log in `DIR`:
whether anything runs, what the device could do at best, whether the text is the target's own, runs
of true size, profiles, and what transformers makes of the same pair. What ended well is not run
again, what ended badly is, and what does not fit into `--minutes` is left for the next call. All of
it that is small is packed into `DIR/gpu_check.tar.gz`. `--plan` says beforehand what would be run.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from rich.console import Console

from ssdreal.command.arguments import check_ranges
from ssdreal.gpu_check.arguments import MINUTES, parser
from ssdreal.gpu_check.packing import pack, pack_caches
from ssdreal.gpu_check.part_runner import Done, PartRunner, done_parts, whole
from ssdreal.gpu_check.parts import TESTS, Wanted, calls
from ssdreal.gpu_check.plan import plan
from ssdreal.gpu_check.timetable import Call, Part, Timetable
from ssdreal.gpu_check.verdict import judged, save, summary, table
from ssdreal.places.topology import topology
from ssdsim.command.console import ending, say, speak_as, table_console
from ssdsim.errors import ConfigError, require
from ssdsim.system.destination import own_folder, taken

MOST_LINES = 12
"""Of the log of a part that failed."""

APART = "many"
"""The call that is asked for by name alone: it needs several GPUs."""


@dataclass(frozen=True)
class CheckOptions:
    """What the command line asks for."""

    wanted: Wanted
    minutes: float = MINUTES
    only: tuple[str, ...] = ()
    cores: int = Timetable.cores

    @property
    def folder(self) -> Path:
        """Where everything goes."""
        return self.wanted.folder

    @cached_property
    def every(self) -> list[Call]:
        """All calls there are."""
        return calls(self.wanted)

    @cached_property
    def done(self) -> set[str]:
        """Names of the parts that have ended well."""
        return whole(done_parts(self.folder))

    @property
    def timetable(self) -> Timetable:
        """What parts are expected to take, after what has been compiled."""
        parts = (part for call in self.every for part in call.parts if part.name in self.done)
        return Timetable(self.cores, frozenset(shape for part in parts for shape in part.shapes))

    @cached_property
    def calls(self) -> list[Call]:
        """The calls wanted, with the parts wanted, in order."""
        known = [name for call in self.every for name in (call.name, *_names(call.parts))]
        for name in self.only:
            require(name in known, "--parts", name, f"must be among {', '.join(known)}")
        return [replace(call, parts=self._parts(call)) for call in self.every]

    def _parts(self, call: Call) -> tuple[Part, ...]:
        if call.name in self.only or (not self.only and call.name != APART):
            return call.parts
        return tuple(part for part in call.parts if part.name in self.only)


def asked(arguments: list[str] | None = None) -> tuple[CheckOptions, bool]:
    """Read the command line: what it asks for, and whether no more than a plan.

    Raises
    ------
    ConfigError
        An argument is not possible.

    """
    given = parser().parse_args(arguments)
    given = check_ranges(given, {"minutes": (0.1, 1440), "cores": (1, 4096)})
    require(given.plan or given.out is not None, "--out", given.out, "needs a folder")
    out = Path("DIR") if given.out is None else own_folder("--out", given.out).resolve()
    return CheckOptions(Wanted(out), given.minutes, tuple(given.parts), given.cores), given.plan


def check(question: CheckOptions, console: Console) -> int:
    """Run what is not done yet, and show what it came to; return how many parts went wrong."""
    wanted = question.calls
    _check_gpus(question)
    if not TESTS.is_file():
        say("the tests are left out: they are in a checkout, and this package is installed")
    timetable = question.timetable
    part_runner = PartRunner(question.folder, 60 * question.minutes, timetable)
    wrong = 0
    try:
        for call in wanted:
            for part, done in part_runner.run(call.parts, call.seconds):
                console.print(_line(question.folder, part, done), highlight=False, markup=False)
                wrong += done is not None and done.code != 0
                pack(question.folder)  # whoever lent the machine may end this at any time
    finally:
        _judge(question, console)
        for path in filter(None, (pack(question.folder), pack_caches(question.folder))):
            console.print(f"to bring back: {path}", soft_wrap=True, highlight=False)
    return wrong


def _check_gpus(question: CheckOptions) -> None:
    """Refuse parts that this machine has too few GPUs for."""
    several = any(call.name == APART and call.parts for call in question.calls)
    try:
        topology("two_gpus" if several else question.wanted.topology)
    except ConfigError as error:
        parts = " ".join(question.only) or "all"
        raise ConfigError(f"--parts={parts}: {error}; --plan needs none") from error


def _judge(question: CheckOptions, console: Console) -> None:
    """Say what the runs so far come to."""
    found = judged(question.folder)
    if found:
        save(question.folder, found)
        console.print(table(found))
        console.print(summary(found))


def _names(parts: Sequence[Part]) -> list[str]:
    return [part.name for part in parts]


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
        question, planning = asked(arguments)
        console = table_console(118)
        if planning:
            made = question.timetable
            plan(question.calls, question.minutes, made, console, question.done)
            return
        with taken("--out", question.folder):
            wrong = check(question, console)
        raise SystemExit(1 if wrong else 0)
