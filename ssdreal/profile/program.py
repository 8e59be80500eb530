"""Measure this machine and a pair of models, so that ssdsim can predict them.

`python -m ssdreal.profile` makes calibration runs in random order, lets the target speak at several
temperatures, lets both models read what it said, and writes `traces/NAME/`: every timing, the
acceptance trace, and a profile that `python -m ssdsim profile=NAME` takes. With `--split 0.5 0.6`
there is one for each way to share one GPU's multiprocessors out: NAME_split50, NAME_split60.
"""

import json
from collections.abc import Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from numpy.random import default_rng
from rich.console import Console

from ssdreal.command.journal import Journal, journal, plain
from ssdreal.executor.preflight import check_pair, check_room
from ssdreal.executor.prompt_files import Prompt, tokenized
from ssdreal.executor.request import Request
from ssdreal.executor.scripted import check as check_script
from ssdreal.executor.setup import CHUNK
from ssdreal.executor.sitting import Sitting
from ssdreal.executor.workload import Task
from ssdreal.models.catalog import shared_vocabulary
from ssdreal.places.topology import Topology
from ssdreal.profile.calibration_runs import CalibrationRuns, joined
from ssdreal.profile.options import ProfileOptions, profile_options
from ssdreal.profile.sampled_texts import (
    SampledTexts,
    TextGenerator,
    decodings,
    read_by_both,
    shortened,
)
from ssdreal.profile.scripted_pair import PROMPTS, SHORT, random_tasks
from ssdsim.acceptance.recorded import Recorded
from ssdsim.acceptance.trace_file import INFO, write_trace
from ssdsim.calibration.calibration_runs import shuffled
from ssdsim.calibration.fit import Calibration
from ssdsim.calibration.profile_file import TIMINGS, write_profile
from ssdsim.calibration.timings import Timing, to_table
from ssdsim.command.console import ending, progress, say, speak_as
from ssdsim.engine.workload import Workload
from ssdsim.errors import require
from ssdsim.run.results import describe as described
from ssdsim.run.results import provenance
from ssdsim.system.atomic_files import replacing, write_text
from ssdsim.system.destination import taken
from ssdsim.system.package_data import TRACES

SEED = 0
LONG = 1800
"""Characters of a long prompt: some 450 tokens."""


def measure(asked: Sequence[ProfileOptions], console: Console) -> None:
    """Measure everything, and write it down.

    Parameters
    ----------
    asked
        Orders that differ in name and share alone: they have the texts and what both models make
        of them in common.
    console
        Where to say how far it is.

    Raises
    ------
    ConfigError
        Something that was asked for cannot be.
    RunError
        A worker was lost.

    """
    first, wheres = asked[0], [one.where() for one in asked]
    for caution in first.cautions():
        say(caution)
    short, long = _prompts(first)
    with ExitStack() as folders:
        kept, pieces, sampled = _measured(asked, wheres, (short, long), folders, console)
        rows = _read(first, sampled, wheres[0].places(None).target.device, console)
        for one, found in zip(asked, pieces, strict=True):
            _write(one, short, found, rows)
        kept.discard()


def _measured(
    asked: Sequence[ProfileOptions],
    wheres: Sequence[Topology],
    tasks: tuple[list[Task], list[Task]],
    folders: ExitStack,
    console: Console,
) -> tuple[Journal, list[list[Timing]], list[SampledTexts]]:
    """Return every order's timings, and the texts, and the journal that has them all.

    The orders' folders are taken meanwhile.
    """
    first, (short, long) = asked[0], tasks
    with closing(Sitting(first.models, first.dtype)) as sitting:
        made = short, long or short, first.visit_tokens, first.script
        tours = [CalibrationRuns(sitting, where, *made) for where in wheres]
        for one, calibration in zip(asked, tours, strict=True):
            _check(one, calibration)
        for one in asked:
            folders.enter_context(taken("--out", one.folder))
        made_with = first.made_with(tasks, [one.share for one in asked])
        kept = journal(first.journal, made_with, resume=first.resume)
        if first.prompts is not None:
            _say(console, f"prompts of {first.prompts}: read from {', '.join(_fields(short))}")
        pieces = [_visited(*each, kept) for each in zip(asked, tours, strict=True)]
        speaker = TextGenerator(sitting, wheres[0], short, first.tokens, SEED)
        return kept, pieces, [] if first.script else _sampled(first, speaker, kept)


def _prompts(asked: ProfileOptions) -> tuple[list[Task], list[Task]]:
    """Return short prompts and long ones, made ready."""
    if asked.script:
        return random_tasks(asked.models, asked.room)
    prompts = asked.split.read(asked.prompts)
    short = _tasks(asked, prompts)
    right = f"none of {len(prompts)} fits into the {asked.room} tokens that --tokens leaves"
    require(bool(short), "prompts", asked.prompts, right)
    return short, _tasks(asked, joined(prompts, LONG))


def _check(asked: ProfileOptions, calibration: CalibrationRuns) -> None:
    """Refuse what does not fit the models, or the memory of a host."""
    models = check_pair(asked.models, asked.dtype)
    for number, visit in enumerate(asked.visits(calibration)):
        setup = calibration.setup(visit, number)
        request = Request(setup, asked.models, calibration.topology, asked.dtype)
        check_script(setup, scripted=asked.script is not None)
        check_room(request, models, calibration.tasks(visit, number))


def _read(
    asked: ProfileOptions, sampled: Sequence[SampledTexts], device: str, console: Console
) -> list[dict[str, Any]]:
    """Return what both models make of the texts, if there are any."""
    if not sampled:
        return []
    _say(console, "both models read the texts")
    names = (asked.models.target, asked.models.draft, asked.dtype)
    return [shortened(row) for row in read_by_both(names, sampled, asked.split.saguaro, device)]


def _visited(asked: ProfileOptions, calibration: CalibrationRuns, kept: Journal) -> list[Timing]:
    found: list[Timing] = []
    rounds = shuffled(asked.visits(calibration), asked.repeats, default_rng(SEED))
    with progress(shown=True) as bar:
        task = bar.add_task(f"calibration runs of {asked.name}", total=len(rounds))
        for number, visit in enumerate(rounds):
            made = partial(calibration.pieces, visit, number)
            found += kept.once(f"{asked.name}_timings_{number}", plain(list[Timing]), made)
            bar.advance(task)
    return found


def _sampled(asked: ProfileOptions, speaker: TextGenerator, kept: Journal) -> list[SampledTexts]:
    ways = list(decodings(asked.split.temperatures))
    with progress(shown=True) as bar:
        return [
            kept.once(f"texts_{number}", plain(SampledTexts), partial(speaker.sampled, way))
            for number, way in enumerate(bar.track(ways, description="the target speaks"))
        ]


def _write(
    asked: ProfileOptions,
    tasks: Sequence[Task],
    pieces: Sequence[Timing],
    rows: list[dict[str, Any]],
) -> None:
    asked.clear()
    with replacing(asked.folder) as whole:
        pq.write_table(to_table(pieces), whole(TIMINGS), compression="zstd")
    shared = asked.shares_devices()
    info = provenance() | {
        "pair": asked.section,
        "models": [asked.models.target, asked.models.draft],
        "dtype": asked.dtype,
        "split": asked.share,
        "padding": CHUNK,
        "shared": shared,
        "cautions": asked.cautions(),
    }
    sampled = _scripted(asked, info) if asked.script else _recorded(asked, tasks, rows, info)
    calibration = Calibration(pieces, CHUNK, shared)
    write_profile(asked.folder, calibration, {"pair": asked.section, **sampled}, _notes(asked))


def _scripted(asked: ProfileOptions, info: dict[str, Any]) -> dict[str, Any]:
    """Write down how it was measured; return a profile's sections of a script."""
    assert asked.script is not None
    source = asked.script.name
    text = json.dumps({**info, "acceptance": source}, indent=1) + "\n"
    write_text(asked.folder / INFO, text)
    return {"acceptance": source, "workload": described(Workload(PROMPTS, SHORT, asked.tokens))}


def _recorded(
    asked: ProfileOptions, tasks: Sequence[Task], rows: list[dict[str, Any]], info: dict[str, Any]
) -> dict[str, Any]:
    """Write the acceptance trace; return a profile's sections of it."""
    write_trace(
        asked.folder,
        rows,
        grid=asked.split.saguaro,
        vocabulary=shared_vocabulary(*asked.models.models),
        prompts={task.name: task.tokens for task in tasks},
        info={**info, "prompt_fields": _fields(tasks)},
    )
    return {
        "acceptance": described(Recorded(".")),
        "workload": described(Workload(len(tasks), 0, asked.tokens)),
    }


def _notes(asked: ProfileOptions) -> list[str]:
    made = provenance()
    machine = made["machine"]
    return [
        f"Measured by python -m ssdreal.profile on {made['created_at'][:10]}:",
        f"pair={_called(asked)},",
        f"{asked.dtype}, topology={asked.topology}, split={asked.share or 'null'};",
        f"{machine['model']}, {machine['cores']} cores.",
        *(f"Mind that {caution}." for caution in asked.cautions()),
        "Tables hold medians in seconds of a model that works alone, as fitted to all runs at once",
        "(ssdsim/calibration); every single timing is in timings.parquet.",
    ]


def _called(asked: ProfileOptions) -> str:
    both = (asked.models.target, asked.models.draft)
    called = asked.pair or ", ".join(Path(name).name.removesuffix(".json") for name in both)
    return f"{called} (scripted: random weights)" if asked.script else called


def _tasks(asked: ProfileOptions, prompts: Sequence[Prompt]) -> list[Task]:
    """Return the prompts that leave room for their texts, as tokens."""
    tasks = tokenized(prompts, asked.models.target)
    return [task for task in tasks if 0 < len(task.tokens) <= asked.room]


def _fields(tasks: Sequence[Task]) -> list[str]:
    """Return which fields of a file the prompts were read from."""
    return sorted({task.field for task in tasks if task.field})


def _say(console: Console, text: str) -> None:
    console.print(f"[dim]{text} ...[/dim]", highlight=False)


def main(arguments: list[str] | None = None) -> None:
    """Measure, and say where it is."""
    speak_as("ssdreal.profile")
    with ending():
        asked = profile_options(arguments)
    with ending("interrupted; the same with --resume goes on from what is measured"):
        measure(asked, Console(stderr=True))
        for one in asked:
            print(f"written to {one.folder}; {_used(one)}")


def _used(asked: ProfileOptions) -> str:
    simulated = f"python -m ssdsim profile={asked.name} simulates it"
    return simulated if asked.out == TRACES else f"moved to traces, {simulated}"
