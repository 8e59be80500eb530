"""Makes a profile of the engine that somebody runs, from its logs and counters."""

import json
import sys
from collections.abc import Sequence

from ssdsim.command.console import console, ending, show, speak_as
from ssdsim.observe.arguments import Question, question
from ssdsim.observe.reading import Observation, observe
from ssdsim.observe.report import sentences, tables


def main(arguments: Sequence[str] | None = None) -> None:
    """Read, check, print and write down; bad input ends with one line and exit code 2."""
    speak_as("ssdsim.observe")
    with ending():
        asked = question(sys.argv[1:] if arguments is None else arguments)
        observation = observe(asked.files)
        _print(observation, asked)


def _print(observation: Observation, asked: Question) -> None:
    if asked.json:
        show(json.dumps(observation.plain(), indent=1, allow_nan=False))
        return
    for table in tables(observation):
        console().print(table)
    for sentence in sentences(observation):
        console().print(sentence, soft_wrap=True, highlight=False, markup=False)
