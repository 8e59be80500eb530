"""Compares runs side by side, and says in which round two of them part.

`python -m ssdsim.compare RUN RUN [...]` reads run directories, simulated or real. Ratios, rounds
and settings are beside the first run. Where one of two runs was measured and the other predicts it
from a measured profile, it says what each guess adds to the error. Where files stand in the place
of the second run, they are the log of an engine, and the run is compared with that.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssdsim.command.console import console, ending, speak_as
from ssdsim.compare.comparison import Comparison, compare
from ssdsim.compare.report import sentences, tables
from ssdsim.errors import ConfigError, require
from ssdsim.page.pack import packed, payload
from ssdsim.page.write import write
from ssdsim.run.trace import load_run
from ssdsim.system.atomic_files import write_text
from ssdsim.system.destination import file, make, writing

JSON, PAGE = "--json", "--page"


@dataclass(frozen=True)
class Question:
    """What the command line asks: which runs, and in which files the answer goes as well."""

    paths: tuple[Path, ...]
    json: Path | None = None
    page: Path | None = None


def question(arguments: Sequence[str]) -> Question:
    """Read the command line.

    Raises
    ------
    ConfigError
        There are fewer than two runs, an option is unknown, or the file cannot be written.

    """
    paths, files, words = list[Path](), dict[str, Path](), iter(arguments)
    for word in words:
        name, given, value = word.partition("=")
        if name in {JSON, PAGE}:
            files[name] = file(name, value if given else next(words, ""))
        elif word.startswith("-"):
            raise ConfigError(f"{word}: no such option; choose among {JSON}, {PAGE}, --help")
        else:
            paths.append(Path(word))
    right = "needs two run directories or more, or one and a log: python -m ssdsim.compare RUN RUN"
    require(len(paths) > 1, "RUN", " ".join(map(str, paths)), right)
    right = "needs two runs, one stands above the other"
    logs = any(map(Path.is_file, paths))
    require(PAGE not in files or (len(paths) == 2 and not logs), PAGE, str(files.get(PAGE)), right)
    return Question(tuple(paths), files.get(JSON), files.get(PAGE))


def main(arguments: Sequence[str] | None = None) -> None:
    """Compare, print, and write down; bad input ends with one line and exit code 2."""
    speak_as("ssdsim.compare")
    with ending():
        asked = question(sys.argv[1:] if arguments is None else arguments)
        if any(map(Path.is_file, asked.paths)):
            _with_log(asked)
            return
        found = compare([load_run(path) for path in asked.paths], asked.paths)
        for table in tables(found):
            console().print(table)
        for sentence in sentences(found):
            console().print(sentence, soft_wrap=True, highlight=False, markup=False)
        _write_down(found, asked)


def _with_log(asked: Question) -> None:
    """Compare the one run with the log that all files make up."""
    from ssdsim.compare.with_log import compare_with_log, sentence, table

    files = [path for path in asked.paths if path.is_file()]
    runs = [path for path in asked.paths if path not in files]
    right = "needs one run directory beside the files of a log"
    require(len(runs) == 1, "RUN", " ".join(map(str, runs)), right)
    found = compare_with_log(load_run(runs[0]), runs[0], files)
    console().print(table(found))
    console().print(sentence(found), soft_wrap=True, highlight=False, markup=False)
    _write_json(found.plain(), asked.json)


def _write_json(content: dict[str, Any], path: Path | None) -> None:
    if path:
        with _to(JSON, path):
            write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def _write_down(found: Comparison, asked: Question) -> None:
    content = found.plain()
    _write_json(content, asked.json)
    if asked.page:
        runs = payload(*map(packed, found.runs))
        with _to(PAGE, asked.page):
            write({**runs, "causes": content["causes"]}, asked.page)


@contextmanager
def _to(option: str, path: Path) -> Iterator[None]:
    """Make the folder of a file that is going to be written."""
    make(option, path.parent)
    with writing(option, path):
        yield
