"""Argument parsing of the side commands: errors in one line, before any work."""

import argparse
from collections.abc import Mapping
from datetime import datetime
from math import isinf
from pathlib import Path
from typing import TypeVar

from ssdsim.errors import ConfigError, require

Given = TypeVar("Given")


def check_ranges(given: Given, ranges: Mapping[str, tuple[float, float]]) -> Given:
    """Refuse numbers outside their ranges, NaN among them, and return what was given.

    Parameters
    ----------
    given
        What has the numbers as attributes.
    ranges
        By their names there, the least and the greatest value.

    Raises
    ------
    ConfigError
        Naming the option.

    """
    for name, (least, most) in ranges.items():
        value = getattr(given, name)
        right = f"needs a number >= {least:,}" + ("" if isinf(most) else f", at most {most:,}")
        require(least <= value <= most, option(name), value, right)
    return given


def sized(given: argparse.Namespace, sizes: Mapping[str, tuple[int, int]]) -> argparse.Namespace:
    """Give what was not asked for its size: the first, or with --quick the second."""
    for name, usual_and_quick in sizes.items():
        if getattr(given, name) is None:
            setattr(given, name, usual_and_quick[given.quick])
    return given


def option(name: str) -> str:
    """Return how an argument is typed."""
    return f"--{name.replace('_', '-')}"


def fresh_folder() -> Path:
    """Return a folder for results that has none yet, named after this moment."""
    return Path("outputs") / f"{datetime.now().astimezone():%Y-%m-%d/%H-%M-%S-%f}"


def check_unwritten(asked: str, paths: Mapping[Path, str], overwrite: bool) -> None:
    """Refuse to write over what is there.

    Raises
    ------
    ConfigError
        Beginning with `asked`, the option and its value.

    """
    there = next((what for path, what in paths.items() if path.exists()), None)
    if there is not None and not overwrite:
        raise ConfigError(f"{asked}: holds {there} already; name another, or add --overwrite")
