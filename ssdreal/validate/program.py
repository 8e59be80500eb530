"""Predict configurations, measure them, and report the predictions' errors and their causes.

`python -m ssdreal.validate` takes a profile that `python -m ssdreal.profile` has measured and the
configurations of a split, predicts each before anything is run, measures them in turns, and prints
errors, order, regret, coverage, and what each guess in a prediction adds to its error. What it
finds goes beside the profile for the whole of the frozen split, else into a fresh folder under
outputs/, or where --out says; nothing that is there is replaced without --overwrite.
"""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from ssdreal.command.arguments import check_ranges, check_unwritten, fresh_folder, sized
from ssdreal.command.journal import digest, journal
from ssdreal.executor.preflight import check_pair
from ssdreal.executor.prompt_files import Prompt, tokenized
from ssdreal.executor.sitting import Sitting
from ssdreal.executor.workload import Task
from ssdreal.models.catalog import shared_vocabulary
from ssdreal.places.places import cautions
from ssdreal.places.topology import topology
from ssdreal.profile.calibration_runs import CalibrationRuns
from ssdreal.profile.measured_with import measured_with, prompts_of
from ssdreal.profile.split import FIT, HELD_OUT, LOOK, Fitted, Split, read_split, split_file
from ssdreal.validate.anchors import TOKENS, Anchors
from ssdreal.validate.arguments import RANGES, SIZES, parser
from ssdreal.validate.configurations import check_fits, configurations
from ssdreal.validate.findings import Findings
from ssdreal.validate.measured import Measurements
from ssdreal.validate.replayed import Replays
from ssdsim.acceptance.trace_checks import AcceptanceTrace
from ssdsim.acceptance.trace_file import read_trace
from ssdsim.calibration.prediction import KnownPrompt, Profile
from ssdsim.command.console import ending, progress, say, speak_as, table_console
from ssdsim.errors import ConfigError, require
from ssdsim.system.destination import folder, taken
from ssdsim.system.package_data import TRACES


@dataclass(frozen=True)
class Question:
    """What the command line asks.

    Attributes
    ----------
    profile, name
        Of the profile and of the split.
    out
        Where everything that is found goes.
    prompts, most
        A file of the user's, and how many of its prompts are decoded; None: the split's, and all.
    resume
        Whether to go on with what was measured there.

    """

    profile: str
    name: str
    split: Split
    repeats: int
    tokens: int
    topology: str
    out: Path
    prompts: str | None = None
    most: int | None = None
    resume: bool = False

    @property
    def folder(self) -> Path:
        """Of the profile."""
        return TRACES / self.profile

    def texts(self, part: str) -> list[Prompt]:
        """Return the prompts of a part: the split's own for what is fitted to."""
        of = self.split.parts[part]
        if isinstance(of, Fitted):
            return of.read()[: self.most or of.decoded]
        return of.read(self.prompts)[: self.most]

    @property
    def file(self) -> Path:
        """Of all that is found."""
        return self.out / f"{self.name}.json"

    @property
    def journal(self) -> Path:
        """Says which runs are measured."""
        return self.out / "runs" / f"{self.name}.json"

    @property
    def files(self) -> dict[Path, str]:
        """What is written, and what each is."""
        runs = [
            self.out / "runs" / part / name
            for part, of in self.split.parts.items()
            for name in of.configurations
        ]
        kept = {self.journal: "runs of this split, which --resume goes on from,"}
        results = {self.file: "this split's results"}
        return {**kept, **results, **dict.fromkeys(runs, "runs of this split")}


def question(arguments: list[str] | None = None) -> Question:
    """Read the command line.

    Raises
    ------
    ConfigError
        An argument is not possible, or results would be written over others.

    """
    given = check_ranges(sized(parser().parse_args(arguments), SIZES), RANGES)
    plain = Path(given.profile).name == given.profile and given.profile not in {"", ".."}
    require(plain, "--profile", given.profile, "needs the name of a folder in traces/")
    split, out = read_split(given.split), _out(given)
    asked = Question(
        profile=given.profile,
        name=split_file(given.split).stem,
        split=split.quick() if given.quick else split,
        repeats=given.repeats,
        tokens=given.tokens,
        topology=given.topology,
        out=out,
        prompts=given.prompts,
        most=LOOK if given.quick else None,
        resume=given.resume,
    )
    goes_on = given.resume and asked.journal.exists()
    check_unwritten(f"--out={out}", asked.files, given.overwrite or goes_on)
    return asked


def _out(given: Any) -> Path:
    """Return where results go: beside a profile only what was measured in full."""
    beside = TRACES / given.profile
    full = all(getattr(given, name) == usual for name, (usual, _) in SIZES.items())
    full = full and not given.quick and given.prompts is None
    if given.out is None:
        frozen = split_file(given.split).resolve() == HELD_OUT.resolve()
        if given.resume and not (full and frozen):
            raise ConfigError("--resume: needs --out, the folder to go on in")
        return beside if full and frozen else fresh_folder()
    out = folder("--out", given.out)
    right = "holds the profile; a look, fewer runs, or other prompts need another folder"
    require(full or out.resolve() != beside.resolve(), "--out", str(out), right)
    return out


def answer(asked: Question, findings: Findings, console: Console) -> None:
    """Predict and measure everything; add to the findings, and write them down, as they come.

    Raises
    ------
    ConfigError
        There is no such profile, or a configuration cannot be.
    RunError
        A worker was lost.

    """
    profile, (known, _) = Profile(asked.folder), measured_with(asked.folder)
    known.check_weights("--profile", asked.profile)
    pair, dtype = known.names, known.dtype
    where = topology(asked.topology, known.split)
    for caution in cautions(where.places("own").cores):
        say(caution)
    tasks = {name: tokenized(asked.texts(name), pair.target) for name in asked.split.parts}
    trace, models = read_trace(asked.folder), check_pair(pair, dtype)
    _check_unseen(asked, trace, tasks)
    composed = configurations(asked.split.parts, list(asked.split.baselines), tasks, asked.tokens)
    for one in composed:
        check_fits(one, pair, dtype, where, models, tasks[one.part])
    wanted = [one.heard(models[0].layers, trace.exit_layers) for one in composed]
    made_with = _made_with(asked, profile, (pair.target, pair.draft, dtype, known.split), tasks)
    kept = journal(asked.journal, made_with, resume=asked.resume)
    findings.wanted = wanted
    with closing(Sitting(pair, dtype)) as sitting:
        own = prompts_of(asked.folder)
        tours = CalibrationRuns(sitting, where, own, own, TOKENS)
        anchors = Anchors(tours, known.sizes, profile, kept)
        findings.sittings = anchors.before
        measurements = Measurements(sitting, where, tasks, kept, anchors, findings.runs)
        _measure(asked, findings, measurements)
    console.print("[dim]explaining ...[/dim]")
    names, vocabulary = (pair.target, pair.draft, dtype), shared_vocabulary(*pair.models)
    replays = Replays(names, vocabulary, tasks, findings.runs, asked.out / "replays")
    findings.explain(profile, replays, anchors)
    findings.save(complete=True)


def _measure(asked: Question, findings: Findings, measurements: Measurements) -> None:
    """Take an anchor, if anything is left to measure; predict; and measure."""
    wanted, repeats = findings.wanted, range(asked.repeats)
    anchors = measurements.anchors
    if not all(measurements.kept(one, repeat) for one in wanted for repeat in repeats):
        anchors.take()
    prompts = {
        part: [KnownPrompt(task.kind, len(task.tokens)) for task in of]
        for part, of in measurements.tasks.items()
    }
    with progress(shown=True) as bar:
        in_turn = bar.track(wanted, description="predicting")
        findings.predict(anchors.profile, in_turn, prompts, anchors.of_sittings())
        task = bar.add_task("measuring", total=asked.repeats * len(wanted))

        def done() -> None:
            findings.save(complete=False)
            bar.advance(task)

        measurements.alternate(wanted, asked.repeats, done)


def _made_with(
    asked: Question, profile: Profile, models: Sequence[Any], tasks: dict[str, list[Task]]
) -> dict[str, Any]:
    """Return the options that decide what is predicted and measured; more repeats may follow."""
    return {
        "--profile": [asked.profile, digest([profile.calibration.pieces, profile.prompts])],
        "models": models,
        "--topology": asked.topology,
        "--tokens": asked.tokens,
        "prompts": {name: digest([task.tokens for task in of]) for name, of in tasks.items()},
        "--split": {name: part.configurations for name, part in asked.split.parts.items()},
    }


def _check_unseen(asked: Question, trace: AcceptanceTrace, tasks: dict[str, list[Task]]) -> None:
    """Refuse prompts that the profile was made with, where they count as held out."""
    known = {tuple(tokens) for tokens in trace.prompts.values()}
    for part, of in tasks.items():
        seen = [task.name for task in of if part != FIT and tuple(task.tokens) in known]
        option = "--prompts" if asked.prompts else f"--split: {part}.prompts"
        right = f"the profile {asked.profile} was made with them, needs others"
        require(not seen, option, seen, right)


def main(arguments: list[str] | None = None) -> None:
    """Predict, measure, print, and write down."""
    speak_as("ssdreal.validate")
    with ending():
        asked = question(arguments)
    again = f"the same with --resume --out {asked.out} goes on from what is measured"
    with ending(f"interrupted; {again}"):
        _run(asked, table_console(118))


def _run(asked: Question, console: Console) -> None:
    findings = Findings(asked.file)
    with taken("--out", asked.out):
        try:
            answer(asked, findings, Console(stderr=True))
        finally:
            for table in findings.tables() if findings.runs else ():
                console.print(table)
                console.print()
    print(f"written to {asked.file}")
