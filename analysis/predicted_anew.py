"""A finished validation, predicted and explained once more by today's code.

    python analysis/predicted_anew.py traces/two_cores held_out couplings

What was measured stays: tokens/s of all repeats are those of the results, passes those of each
configuration's first run in the folder `runs`. All is predicted for any hour, without anchors, and
explained by the first run; replays of rounds stay too, since they need the models. It takes some
two minutes a split.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from ssdreal.executor.workload import Task
from ssdreal.profile.split import Part, read_split
from ssdreal.validate.configurations import Configuration, configurations
from ssdreal.validate.report import Found, save, tables, verdicts
from ssdsim.calibration.agreement import Agreement, Difference
from ssdsim.calibration.error_causes import causes
from ssdsim.calibration.machine_state import Nearby
from ssdsim.calibration.prediction import KnownPrompt, Profile
from ssdsim.run.trace import Run, load_run


def anew(folder: Path, name: str) -> None:
    """Write a validation's results down once more, and print them."""
    file = folder / f"{name}.json"
    known = json.loads(file.read_text(encoding="utf-8"))
    rows = {f"{row['part']}/{row['name']}": row for row in known.pop("configurations")}
    known.pop("verdicts")
    runs = {title: load_run(folder / "runs" / title) for title in rows}
    profile = Profile(folder)
    found = [_found(profile, one, runs, rows[one.title]) for one in _wanted(name, runs)]
    judged = verdicts(found)
    save(file, found, judged, known)
    for table in tables(found, judged):
        Console(width=118).print(table)


def _wanted(name: str, runs: Mapping[str, Run]) -> Iterator[Configuration]:
    """Return a split's configurations, with the prompts and tokens that they were measured with."""
    split = read_split(name)
    for part, of in split.parts.items():
        there = {one: text for one, text in of.configurations.items() if f"{part}/{one}" in runs}
        table = runs[f"{part}/{next(iter(there))}"].sequences
        tasks = [Task(row.prompt, row.kind, [0] * row.prompt_tokens) for row in table.itertuples()]
        parts, tokens = {part: Part(of.prompts, there)}, int(table.tokens.max())
        yield from configurations(parts, list(split.baselines), {part: tasks}, tokens)


def _found(
    profile: Profile, one: Configuration, runs: Mapping[str, Run], row: Mapping[str, Any]
) -> Found:
    first, setup = runs[one.title], one.simulated(profile)
    table = first.sequences
    prompts = list(map(KnownPrompt, table.kind, table.prompt_tokens.map(int)))
    predicted = profile.predict(setup, one.title, prompts=prompts)
    middle = predicted.interval().middle
    repeats = list(_repeats(first, row["measured"]))
    return Found(
        wanted=one,
        alone=predicted,
        predicted=[predicted] * len(repeats),
        runs=repeats,
        causes=causes(first, setup, profile, Nearby(), middle),
        agreement=_agreement(row["replay"]),
        missing=row["missing"],
    )


def _repeats(first: Run, measured: Mapping[str, list[Any]]) -> Iterator[Run]:
    """Return a run a repeat, of which only the first has passes."""
    for values in zip(*measured.values(), strict=True):
        metrics = first.metrics | dict(zip(measured, values, strict=True))
        yield replace(first, info=first.info | {"metrics": metrics})


def _agreement(replay: dict[str, Any] | None) -> Agreement | None:
    if replay is None:
        return None
    differences = [Difference(**one) for one in replay["differences"]]
    return Agreement(**replay | {"differences": differences})


if __name__ == "__main__":
    for split_name in sys.argv[2:]:
        anew(Path(sys.argv[1]), split_name)
