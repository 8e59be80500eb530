"""Measure the leaders of a simulated tuning until the best is known.

`python -m ssdreal.tune` takes what `python -m ssdsim.tune` has left and runs its leading candidates
on this machine in blocks: in each every candidate that is left decodes the same prompts once, in
random order. After each block those that are clearly slower are dropped (`ssdsim.tune.racing`),
and it stops when one is left, when none is much faster than the leader, or after so many blocks or
seconds. It prints what was predicted beside what was measured, which one is best and how sure that
is, what the simulator's choice would have cost, and what its profile should learn.
"""

from contextlib import closing
from dataclasses import dataclass
from math import log1p
from pathlib import Path
from typing import Any

from rich.console import Console

from ssdreal.command.arguments import check_ranges, check_unwritten, fresh_folder
from ssdreal.command.journal import Journal, digest, journal
from ssdreal.executor.prompt_files import Prompt, tokenized
from ssdreal.executor.sitting import Sitting
from ssdreal.executor.workload import Task
from ssdreal.places.places import cautions
from ssdreal.places.topology import topology
from ssdreal.profile.calibration_runs import CalibrationRuns
from ssdreal.profile.measured_with import MeasuredWith, measured_with, prompts_of
from ssdreal.profile.split import read_split
from ssdreal.tune.arguments import RANGES, parser
from ssdreal.tune.blocks import Blocks
from ssdreal.tune.candidates import Tuning, read_tuning
from ssdreal.tune.entrants import PART, Entrants, Machine, entrants
from ssdreal.tune.report import sentences, tables
from ssdreal.tune.tuned import Tuned
from ssdreal.validate.anchors import TOKENS, Anchors
from ssdreal.validate.findings import Findings
from ssdreal.validate.measured import Measurements
from ssdsim.acceptance.trace_file import read_trace
from ssdsim.calibration.prediction import Profile
from ssdsim.command.console import ending, progress, say, speak_as, table_console
from ssdsim.errors import ConfigError
from ssdsim.system.destination import folder, taken
from ssdsim.system.package_data import TRACES
from ssdsim.tune.racing import Race, Rule

HELD_OUT = "test"
"""The side of the frozen split whose prompts are decoded unless others are asked for."""

BORROWED = 8.0
"""Degrees of freedom that the noise of all runs lends each pair: runs here scatter much alike."""


@dataclass(frozen=True)
class Question:
    """What the command line asks.

    Attributes
    ----------
    tuned, tuning
        The file's name as it was typed, and what is in it.
    out
        Where everything that is found goes.

    """

    tuned: str
    tuning: Tuning
    most: int
    each: int
    prompts: str | None
    tokens: int
    blocks: int
    seconds: float
    rule: Rule
    topology: str
    out: Path
    resume: bool

    @property
    def folder(self) -> Path:
        """Of the profile."""
        return TRACES / self.tuning.profile

    @property
    def file(self) -> Path:
        """Of all that is found."""
        return self.out / f"{PART}.json"

    @property
    def journal(self) -> Path:
        """Says which runs are measured."""
        return self.out / "runs" / f"{PART}.json"

    @property
    def texts(self) -> list[Prompt]:
        """The prompts to decode."""
        return read_split().parts[HELD_OUT].read(self.prompts)


def question(arguments: list[str] | None = None) -> Question:
    """Read the command line.

    Raises
    ------
    ConfigError
        An argument is not possible, or results would be written over others.

    """
    given = check_ranges(parser().parse_args(arguments), RANGES)
    asked = Question(
        given.tuned,
        read_tuning(given.tuned),
        given.most,
        given.each,
        given.prompts,
        given.tokens,
        given.blocks,
        given.seconds,
        Rule(log1p(given.within), given.confidence, borrowed=BORROWED),
        given.topology,
        _out(given),
        given.resume,
    )
    kept = {asked.journal: "runs of a tuning, which --resume goes on from,"}
    files = {**kept, asked.file: "results of a tuning", asked.journal.parent / PART: "its runs"}
    goes_on = given.resume and asked.journal.exists()
    check_unwritten(f"--out={asked.out}", files, given.overwrite or goes_on)
    return asked


def _out(given: Any) -> Path:
    if given.out is None and given.resume:
        raise ConfigError("--resume: needs --out, the folder to go on in")
    return fresh_folder() if given.out is None else folder("--out", given.out)


@dataclass(frozen=True)
class Prepared:
    """All that a race needs, nothing of it measured yet."""

    tuned: Tuned
    machine: Machine
    profile: Profile
    known: MeasuredWith
    tasks: list[Task]
    journal: Journal


def prepare(asked: Question) -> Prepared:
    """Check everything before any work.

    Raises
    ------
    ConfigError
        There is no such profile, or fewer than two candidates can be measured.

    """
    known, profile = _measured_with(asked), Profile(asked.folder)
    where, exits = topology(asked.topology, known.split), read_trace(asked.folder).exit_layers
    machine = Machine(known.names, known.dtype, where, exits)
    for caution in cautions(machine.where.places("own").cores):
        say(caution)
    tasks = tokenized(asked.texts, machine.pair.target)
    chosen = entrants(asked.tuning, machine, tasks, asked.tokens, asked.most, asked.each)
    chosen.check()
    made_with = _made_with(asked, profile, machine, chosen, tasks)
    race = Race([one.name for one in chosen.chosen], asked.rule)
    findings = Findings(asked.file, [one.configuration for one in chosen.chosen])
    kept = journal(asked.journal, made_with, resume=asked.resume)
    return Prepared(
        Tuned(asked.tuning, chosen, race, findings), machine, profile, known, tasks, kept
    )


def measure(asked: Question, prepared: Prepared) -> None:
    """Race, and explain; everything is written down as it comes.

    Raises
    ------
    RunError
        A worker was lost.

    """
    tuned, machine, profile = prepared.tuned, prepared.machine, prepared.profile
    with closing(Sitting(machine.pair, machine.dtype)) as sitting:
        own = prompts_of(asked.folder)
        tours = CalibrationRuns(sitting, machine.where, own, own, TOKENS)
        anchors = Anchors(tours, prepared.known.sizes, profile, prepared.journal)
        texts, runs = {PART: prepared.tasks}, tuned.findings.runs
        measurements = Measurements(sitting, machine.where, texts, prepared.journal, anchors, runs)
        entering = tuned.entrants.chosen
        _race(tuned, Blocks(measurements, tuned.race, entering, asked.blocks, asked.seconds))
    say("explaining ...")
    tuned.expect(profile)
    tuned.explain(profile, anchors)
    tuned.save(complete=True)


def _race(tuned: Tuned, blocks: Blocks) -> None:
    with progress(shown=True) as bar:
        task = bar.add_task("measuring", total=None)

        def done() -> None:
            tuned.save(complete=False)
            bar.advance(task)

        def told(block: int) -> None:
            race = tuned.race
            say(f"block {block}: {len(race.left)} of {len(race.names)} left, {race.leader} leads")

        blocks.run(done, told)


def _measured_with(asked: Question) -> MeasuredWith:
    name = f"{asked.tuned}: profile"
    try:
        known, _ = measured_with(asked.folder)
    except ConfigError as error:
        raise ConfigError(str(error).replace("--profile", name, 1)) from error
    known.check_weights(name, asked.tuning.profile)
    return known


def _made_with(
    asked: Question, profile: Profile, machine: Machine, chosen: Entrants, tasks: list[Task]
) -> dict[str, Any]:
    """Return the options that decide what is measured; more blocks may follow."""
    rule, pair = asked.rule, machine.pair
    return {
        "profile": [asked.tuning.profile, digest([profile.calibration.pieces, profile.prompts])],
        "models": [pair.target, pair.draft, machine.dtype],
        "--topology": asked.topology,
        "--tokens": asked.tokens,
        "prompts": digest([task.tokens for task in tasks]),
        "rule": [rule.within, rule.confidence],
        "candidates": {one.name: one.configuration.overrides for one in chosen.chosen},
    }


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, and write down."""
    speak_as("ssdreal.tune")
    with ending():
        asked = question(arguments)
    again = f"the same with --resume --out {asked.out} goes on from what is measured"
    with ending(f"interrupted; {again}"), taken("--out", asked.out):
        prepared = prepare(asked)
        try:
            measure(asked, prepared)
        finally:
            if prepared.tuned.findings.runs:
                _show(prepared.tuned, table_console(118))
        print(f"written to {asked.file}")


def _show(tuned: Tuned, console: Console) -> None:
    for table in tables(tuned):
        console.print(table)
        console.print()
    for sentence in sentences(tuned):
        console.print(sentence, highlight=False, markup=False)
