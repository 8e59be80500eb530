"""Measure this machine and a pair of models, so that ssdsim can predict them.

`python -m ssdreal.profile` makes calibration runs in random order, lets the target speak at several
temperatures, lets both models read what it said, and writes `traces/NAME/`: every timing, the
acceptance trace, and a profile that `python -m ssdsim profile=NAME` takes. With `--split 0.5 0.6`
there is one for each way to share one GPU's multiprocessors out: NAME_split50, NAME_split60.
"""

import json
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from numpy.random import default_rng
from rich.console import Console

from ssdreal.command.journal import Journal, journal, plain
from ssdreal.executor.preflight import check_pair, check_room
from ssdreal.executor.prompt_files import tokenized
from ssdreal.executor.request import Request
from ssdreal.executor.scripted import check as check_script
from ssdreal.executor.setup import CHUNK
from ssdreal.executor.sitting import Sitting
from ssdreal.executor.workload import Task
from ssdreal.models.catalog import shared_vocabulary
from ssdreal.places.topology import Topology
from ssdreal.profile.calibration_runs import CalibrationRuns, joined
from ssdreal.profile.extension import extend, first_visit
from ssdreal.profile.measured_with import prompts_of, sizes
from ssdreal.profile.options import ProfileOptions, profile_options
from ssdreal.profile.sampled_texts import Recording, recorded
from ssdreal.profile.scripted_pair import PROMPTS, SHORT, random_tasks
from ssdsim.acceptance.recorded import Recorded
from ssdsim.acceptance.trace_file import INFO, write_trace
from ssdsim.calibration.calibration_plan import shuffled
from ssdsim.calibration.fit import Calibration
from ssdsim.calibration.profile_file import TIMINGS, write_profile
from ssdsim.calibration.timings import Timing, to_table
from ssdsim.command.console import ending, progress, say, speak_as
from ssdsim.errors import require
from ssdsim.run.results import describe as described
from ssdsim.run.results import provenance
from ssdsim.system.atomic_files import replacing, write_text
from ssdsim.system.destination import taken
from ssdsim.system.package_data import TRACES
from ssdsim.workloads.closed import Closed

SEED = 0
LONG = 450
"""Tokens of a long prompt, at least."""


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
    tasks = _prompts(first)
    with ExitStack() as folders:
        kept, pieces = _measured(asked, wheres, tasks, folders, console)
        rows = _rows(first, tasks[0], wheres[0].places(None).target.device, kept)
        for one, found in zip(asked, pieces, strict=True):
            _write(one, tasks[0], found, rows)
        kept.discard()


def add_sitting(asked: Sequence[ProfileOptions], console: Console) -> None:
    """Measure the times of a profile that is there again; parameters and errors as of `measure`."""
    (one,) = asked
    short, long = random_tasks(one.models, one.room) if one.script else _own_prompts(one)
    with ExitStack() as folders:
        kept, (pieces,) = _measured(asked, [one.where()], (short, long), folders, console)
        extend(one.folder, pieces)
        kept.discard()


def _measured(
    asked: Sequence[ProfileOptions],
    wheres: Sequence[Topology],
    tasks: tuple[list[Task], list[Task]],
    folders: ExitStack,
    console: Console,
) -> tuple[Journal, list[list[Timing]]]:
    """Return the journal of all that is measured, and every order's timings.

    The orders' folders are taken meanwhile.
    """
    first, (short, long) = asked[0], tasks
    with closing(Sitting(first.models, first.dtype)) as sitting:
        made = short, long or short, first.visit_tokens, first.script, first.hour
        tours = [CalibrationRuns(sitting, where, *made) for where in wheres]
        for one, calibration in zip(asked, tours, strict=True):
            _check(one, calibration)
        for one in asked:
            folders.enter_context(taken("--out", one.folder))
        made_with = first.made_with(tasks, [one.share for one in asked])
        kept = journal(first.journal, made_with, resume=first.resume)
        if first.prompts is not None:
            _say(console, f"prompts of {first.prompts}: read from {', '.join(_fields(short))}")
        return kept, [_visited(*each, kept) for each in zip(asked, tours, strict=True)]


def _prompts(asked: ProfileOptions) -> tuple[list[Task], list[Task]]:
    """Return short prompts and long ones, made ready."""
    if asked.script:
        return random_tasks(asked.models, asked.room)
    prompts = asked.split.read(asked.prompts)
    short = _fitting(asked, tokenized(prompts, asked.models.target))
    right = f"none of {len(prompts)} fits into the {asked.room} tokens that --tokens leaves"
    require(bool(short), "prompts", asked.prompts, right)
    return short, _long(asked, short)


def _own_prompts(asked: ProfileOptions) -> tuple[list[Task], list[Task]]:
    """Return the prompts that a profile has texts of, short and long."""
    short = prompts_of(asked.folder)
    return short, _long(asked, short)


def _long(asked: ProfileOptions, short: Sequence[Task]) -> list[Task]:
    return _fitting(asked, joined(short, LONG))


def _check(asked: ProfileOptions, calibration: CalibrationRuns) -> None:
    """Refuse what does not fit the models, or the memory of a host."""
    models = check_pair(asked.models, asked.dtype)
    for number, visit in enumerate(asked.visits(calibration)):
        setup = calibration.setup(visit, number)
        request = Request(setup, asked.models, calibration.topology, asked.dtype)
        check_script(setup, scripted=asked.script is not None)
        check_room(request, models, calibration.tasks(visit, number))


def _rows(
    asked: ProfileOptions, tasks: Sequence[Task], device: str, kept: Journal
) -> list[dict[str, Any]]:
    """Return what both models make of the target's texts; nothing where there are none to make."""
    if asked.script:
        return []
    names, fit = (asked.models.target, asked.models.draft, asked.dtype), asked.split
    known = names, fit.temperatures, fit.saguaro, asked.tokens, SEED, device
    recording = Recording(*known, exit_layers=asked.exit_layers)
    return recorded(recording, tasks, kept)


def _visited(asked: ProfileOptions, calibration: CalibrationRuns, kept: Journal) -> list[Timing]:
    found: list[Timing] = []
    rounds = shuffled(asked.visits(calibration), asked.repeats, default_rng(asked.hour))
    with progress(shown=True) as bar:
        task = bar.add_task(f"calibration runs of {asked.name}", total=len(rounds))
        for number, visit in enumerate(rounds, first_visit(asked.folder) if asked.hour else 0):
            made = partial(calibration.pieces, visit, number)
            found += kept.once(f"{asked.name}_timings_{number}", plain(list[Timing]), made)
            bar.advance(task)
    return found


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
        "sizes": asdict(sizes(asked.split)),
    }
    info["sittings"] = [info["created_at"]]
    sampled = _scripted(asked, info) if asked.script else _recorded(asked, tasks, rows, info)
    calibration = Calibration(pieces, CHUNK, shared)
    write_profile(asked.folder, calibration, {"pair": asked.section, **sampled}, _notes(asked))


def _scripted(asked: ProfileOptions, info: dict[str, Any]) -> dict[str, Any]:
    """Write down how it was measured; return a profile's sections of a script."""
    assert asked.script is not None
    source = asked.script.name
    text = json.dumps({**info, "acceptance": source}, indent=1) + "\n"
    write_text(asked.folder / INFO, text)
    return {"acceptance": source, "workload": described(Closed(PROMPTS, SHORT, asked.tokens))}


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
        exit_layers=asked.exit_layers,
    )
    return {
        "acceptance": described(Recorded(".")),
        "workload": described(Closed(len(tasks), 0, asked.tokens)),
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


def _fitting(asked: ProfileOptions, tasks: Sequence[Task]) -> list[Task]:
    """Return the prompts that leave room for their texts."""
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
        work = add_sitting if asked[0].hour else measure
        work(asked, Console(stderr=True))
        for one in asked:
            print(f"written to {one.folder}; {_used(one)}")


def _used(asked: ProfileOptions) -> str:
    simulated = f"python -m ssdsim profile={asked.name} simulates it"
    return simulated if asked.out == TRACES else f"moved to traces, {simulated}"
