"""Makes a profile of the engine that somebody runs, from its logs and counters."""

import json
import sys
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path

from ssdsim.command.console import console, ending, show, speak_as
from ssdsim.errors import require
from ssdsim.observe.arguments import Question, question
from ssdsim.observe.asking import ask_for_scores, scraped
from ssdsim.observe.profile import Written, place, write_profile
from ssdsim.observe.reading import Observation, observe
from ssdsim.observe.report import sentences, tables


def main(arguments: Sequence[str] | None = None) -> None:
    """Read, check, print and write down; bad input ends with one line and exit code 2."""
    speak_as("ssdsim.observe")
    with ending():
        asked = question(sys.argv[1:] if arguments is None else arguments)
        if asked.ask:
            count = ask_for_scores(asked.ask, asked.texts, asked.to)
            _line(f"{count:,} texts scored: python -m ssdsim.observe --scores {asked.to} ...")
            return
        _observe(asked)


def _observe(asked: Question) -> None:
    if asked.name:
        place(asked.name)  # refused before any work, if at all
    with ExitStack() as exits:
        scrapes = scraped(asked.url, asked.seconds) if asked.url else nullcontext(list[str]())
        files = exits.enter_context(scrapes)
        observation = observe([*asked.files, *files, *asked.scores])
    _check_scores(observation, asked.scores)
    written = None
    if asked.name:
        written = write_profile(observation, asked.name, asked.draft_step, asked.fanout)
    _print(observation, written, as_json=asked.json)


def _check_scores(observation: Observation, scores: Sequence[str]) -> None:
    """Refuse a file that was given for scores and holds something else."""
    others = {
        str(source.path): found.format.title
        for found in observation.found
        if found.told.ranks is None
        for source in found.files
    }
    for path in scores:
        right = f"is of another format ({others.get(path)}): needs the draft's prompt_logprobs"
        require(path not in others, "--scores", path, right)


def _print(observation: Observation, written: Written | None, *, as_json: bool) -> None:
    if as_json:
        show(json.dumps(observation.plain(), indent=1, allow_nan=False))
        return
    for table in tables(observation):
        console().print(table)
    for sentence in sentences(observation):
        _line(sentence)
    if written:
        for note in written.notes:
            _line(f"taken: {note}")
        _line(f"profile: {_short(written.file)}")
        _line(f"  {written.command}")


def _short(path: Path) -> Path:
    """Return a path as it is shortest from here."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _line(text: str) -> None:
    console().print(text, soft_wrap=True, highlight=False, markup=False)
