"""Predict configurations, then measure them, then say how good the predictions were and why.

`python -m ssdreal.validate` takes a profile that `python -m ssdreal.profile` has measured and the
configurations of a split, predicts each before anything is run, measures them in turns, and prints
errors, order, regret, coverage, and what each guess in a prediction adds to its error.
"""

import argparse
import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from ssdreal.executor.pair import Pair, read_pair
from ssdreal.executor.sitting import Sitting
from ssdreal.executor.workload import Task
from ssdreal.models.catalog import describe
from ssdreal.models.tokenizers import encode_prompt
from ssdreal.places.topology import topology
from ssdreal.profile.split import HELD_OUT, Part, Split, read_split
from ssdreal.validate.configurations import Configuration, configurations
from ssdreal.validate.measured import Measurements
from ssdreal.validate.replayed import Replays
from ssdreal.validate.report import Found, baselines_of, save, tables, verdicts
from ssdsim.acceptance.trace_file import INFO
from ssdsim.calibration.error_causes import causes
from ssdsim.calibration.prediction import Predicted, Profile
from ssdsim.command.console import ending, progress, speak_as
from ssdsim.errors import ConfigError, require
from ssdsim.options.plugins import TRACES
from ssdsim.run.results import provenance


@dataclass(frozen=True)
class Question:
    """What the command line asks."""

    profile: str
    name: str
    split: Split
    repeats: int
    tokens: int
    topology: str

    @property
    def folder(self) -> Path:
        """Of the profile."""
        return TRACES / self.profile


def question(arguments: list[str] | None = None) -> Question:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m ssdreal.validate", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--profile", default="this_machine", help="a folder under traces/")
    parser.add_argument("--split", default=HELD_OUT.stem, help="in conf/validation, or a file")
    parser.add_argument("--repeats", type=int, default=3, help="of every configuration")
    parser.add_argument("--tokens", type=int, default=40, help="to decode for each prompt")
    parser.add_argument("--topology", default="auto", help="cpu, one_gpu, two_gpus")
    parser.add_argument("--quick", action="store_true", help="a look, in about a minute")
    given = parser.parse_args(arguments)
    split = read_split(given.split)
    if given.quick:
        given.repeats, given.tokens = 1, 12
        split = split.quick()
    for name in ("repeats", "tokens"):
        require(getattr(given, name) >= 1, f"--{name}", getattr(given, name), "needs a number >= 1")
    name = Path(given.split).stem
    return Question(given.profile, name, split, given.repeats, given.tokens, given.topology)


def answer(asked: Question, console: Console) -> list[Found]:
    """Predict and measure everything.

    Raises
    ------
    ConfigError
        There is no such profile, or a configuration cannot be.
    RunError
        A worker was lost.

    """
    profile, (pair, dtype, share) = Profile(asked.folder), _measured_with(asked.folder)
    where = topology(asked.topology, share)
    tasks = {name: _tasks(pair, part) for name, part in asked.split.parts.items()}
    wanted = configurations(asked.split.parts, list(asked.split.baselines), tasks, asked.tokens)
    with progress(shown=True) as bar:
        predicted = {
            one.title: profile.predict(one.simulated(profile), one.title)
            for one in bar.track(wanted, description="predicting")
        }
    with closing(Sitting(pair, dtype)) as sitting, progress(shown=True) as bar:
        measured = Measurements(sitting, where, tasks, asked.folder / "runs")
        bar_task = bar.add_task("measuring", total=asked.repeats * len(wanted))
        measured.alternate(wanted, asked.repeats, lambda: bar.advance(bar_task))
    console.print("[dim]explaining ...[/dim]")
    first = {title: runs[0] for title, runs in measured.runs.items()}
    names, vocabulary = (pair.target, pair.draft, dtype), describe(pair.target).vocabulary
    replays = Replays(names, vocabulary, tasks, first, asked.folder / "replays")
    return _found(profile, wanted, predicted, measured, replays)


def _found(
    profile: Profile,
    wanted: Sequence[Configuration],
    predicted: dict[str, Predicted],
    measured: Measurements,
    replays: Replays,
) -> list[Found]:
    replays.record(wanted)
    agreements = {one.title: found for one, found in replays.agreements(wanted, profile)}
    return [
        Found(
            one,
            predicted[one.title],
            measured.runs[one.title],
            causes(measured.runs[one.title][0], one.simulated(profile), profile),
            agreements.get(one.title),
        )
        for one in wanted
    ]


def _measured_with(folder: Path) -> tuple[Pair, str, float | None]:
    """Return the pair, its type, and how a GPU was split when a profile was measured."""
    try:
        info = json.loads((folder / INFO).read_text())
        scripted = "acceptance" in info
        pair = Pair(*info["models"]) if "models" in info else read_pair(info["pair"])
        found = pair, str(info["dtype"]), info.get("split")
    except (OSError, ValueError, KeyError) as error:
        right = f"needs a folder of traces/ that python -m ssdreal.profile has written ({error})"
        raise ConfigError(f"--profile={folder.name}: {right}") from error
    right = "needs a pair with weights, whose own texts tell what is accepted"
    require(not scripted, "--profile", folder.name, right)
    return found


def _tasks(pair: Pair, part: Part) -> list[Task]:
    prompts = part.read()
    return [Task(p.name, p.kind, encode_prompt(pair.target, p.text)) for p in prompts]


def main(arguments: list[str] | None = None) -> None:
    """Predict, measure, print, and write down."""
    speak_as("ssdreal.validate")
    with ending("interrupted; the runs so far are in traces/NAME/runs"):
        _run(question(arguments), Console(width=118))


def _run(asked: Question, console: Console) -> None:
    found = answer(asked, Console(stderr=True))
    judged = verdicts(found, baselines_of(found))
    save(asked.folder / f"{asked.name}.json", found, judged, provenance())
    for table in tables(found, judged):
        console.print(table)
        console.print()


if __name__ == "__main__":
    main()
