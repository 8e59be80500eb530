"""Starts the tools beside `python -m ssdreal`: help first, then what is missing, then the tool.

Nothing here needs a model, so that `--help` is quick, and works where nothing else would.
"""

import sys
from argparse import ArgumentParser
from collections.abc import Callable
from typing import NoReturn

from ssdreal import extra
from ssdsim.command.entry import start


def run(tool: str, parser: Callable[[], ArgumentParser]) -> NoReturn:
    """Do what `python -m ssdreal.TOOL` does, and end: `main` of its module `program`."""
    name = f"ssdreal.{tool}"
    sys.exit(start(name, f"{name}.program", lambda: parser().format_help().rstrip(), extra.check))
