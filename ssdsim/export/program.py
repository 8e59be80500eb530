"""Writes the simulator's answer as an engine's own settings."""

import sys
from argparse import SUPPRESS
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ssdsim.command.console import ending, show, speak_as
from ssdsim.errors import require
from ssdsim.export.engines.base import engines
from ssdsim.system.atomic_files import write_text
from ssdsim.system.destination import file, make, writing
from ssdsim.system.parser import Parser

TABLES = "csv"
"""What stands in an engine's place for the neutral tables."""


@dataclass(frozen=True)
class Question:
    """What the command line asks.

    Attributes
    ----------
    engine
        Whose settings, or "csv".
    forced
        Whether acceptances are to be forced.
    draft
        The draft's name, for the settings.
    to
        A file for them.
    run
        A run directory whose rounds are written.
    words
        Options of a simulation.

    """

    engine: str
    forced: bool = False
    draft: str = ""
    to: str = ""
    run: str = ""
    words: tuple[str, ...] = ()


def question(arguments: Sequence[str]) -> Question:
    """Read the command line.

    Raises
    ------
    ConfigError
        An option is unknown, an engine is, or there is nothing to write.

    """
    parser = Parser(prog="python -m ssdsim.export", argument_default=SUPPRESS, add_help=False)
    for name in ("engine", "draft", "to"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--forced", action="store_true")
    given, rest = parser.parse_known_args(list(arguments))
    unknown = [word for word in rest if word.startswith("-")]
    require(not unknown, " ".join(unknown), "", "no such option; see --help")
    runs, words = [w for w in rest if "=" not in w], [w for w in rest if "=" in w]
    known = [*engines(), TABLES]
    engine = getattr(given, "engine", "")
    require(engine in known, "--engine", engine, f"choose among {', '.join(known)}")
    tables = engine == TABLES
    right = "needs one run directory at most, and that for --engine csv alone"
    require(len(runs) <= int(tables), "RUN", " ".join(runs), right)
    asked = Question(**{**vars(given), "run": "".join(runs), "words": tuple(words)})
    require(not (tables and asked.forced), "--forced", engine, "needs an engine")
    return asked


def main(arguments: Sequence[str] | None = None) -> None:
    """Ask, print, and write down; bad input ends with one line and exit code 2."""
    speak_as("ssdsim.export")
    with ending():
        asked = question(sys.argv[1:] if arguments is None else arguments)
        target = file("--to", asked.to) if asked.to else None
        text = _tables(asked) if asked.engine == TABLES else _settings(asked)
        show(text)
        if target:
            _write(target, text)


def _settings(asked: Question) -> str:
    from ssdsim.command.composing import setting
    from ssdsim.export.answering import NO_DRAFT, answered, forced

    engine, composed = engines()[asked.engine](), setting(asked.words)
    draft = asked.draft or NO_DRAFT
    if asked.forced:
        return engine.forced(forced(composed, draft))
    return engine.settings(answered(composed, draft))


def _tables(asked: Question) -> str:
    from ssdsim.command.composing import setting
    from ssdsim.export.tables import costs_csv, rounds_csv
    from ssdsim.run.trace import load_run

    if asked.run:
        require(not asked.words, "RUN", asked.run, "a run's rounds take no options")
        return rounds_csv(load_run(asked.run))
    return costs_csv(setting(asked.words).setup)


def _write(path: Path, text: str) -> None:
    make("--to", path.parent)
    with writing("--to", path):
        write_text(path, f"{text}\n")
