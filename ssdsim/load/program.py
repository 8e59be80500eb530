"""Loads configurations more and more, and shows latency against throughput.

`python -m ssdsim.load` takes options as `python -m ssdsim` does, with several values where
configurations are to be compared. It writes `load.json` and `load.png`.
"""

import json
import sys
from collections.abc import Sequence

from hydra import compose
from hydra.types import RunMode
from omegaconf import open_dict

from ssdsim.command.console import console, progress
from ssdsim.command.launching import composing, launcher
from ssdsim.load.curves import Load, loaded
from ssdsim.load.options import SECTION
from ssdsim.load.picture import load_picture
from ssdsim.load.points import KEPT, Points, simulate_chunk
from ssdsim.load.question import Question, question
from ssdsim.load.report import tables
from ssdsim.system.atomic_files import replacing
from ssdsim.system.destination import taken

JSON, PICTURE = "load.json", "load.png"


def answer(asked: Question) -> Load:
    """Simulate what is asked, as far as it is not kept already.

    Raises
    ------
    ConfigError
        An option cannot be, or no configuration.

    """
    config = compose(SECTION, list(asked.launcher), return_hydra_config=True)
    with open_dict(config):
        config.hydra.mode = RunMode.MULTIRUN
    with progress(shown=True) as bar:
        task = bar.add_task("simulating", total=None)
        launch = launcher(config, SECTION, asked.out, simulate_chunk)
        points = Points(launch, asked.out / KEPT, lambda count: bar.advance(task, count))
        return loaded(asked, points)


def main(arguments: Sequence[str] | None = None) -> None:
    """Simulate, print, and write down; bad input ends with one line and exit code 2."""
    with composing("ssdsim.load", SECTION, "simulated"):
        _run(question(sys.argv[1:] if arguments is None else arguments))


def _run(asked: Question) -> None:
    with taken("load.folder", asked.out):
        found, latency = answer(asked), asked.options.latency
        with replacing(asked.out) as partial:
            text = json.dumps(found.plain(), indent=1, allow_nan=False) + "\n"
            partial(JSON).write_text(text, encoding="utf-8")
            load_picture(found, latency, partial(PICTURE))
        for table in tables(found, latency):
            console().print(table)
            console().print()
        console().print(f"{asked.out / PICTURE}", soft_wrap=True, highlight=False)
