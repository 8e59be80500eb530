"""Puts what `python -m ssdsim.tune` chose in the place of the option `tuned=FILE`."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from ssdsim.errors import ConfigError, require

OPTION = "tuned"


def with_tuned(arguments: Sequence[str], sections: Sequence[str]) -> list[str]:
    """Return a command line with the words of `tuned=FILE` in its place.

    Parameters
    ----------
    arguments
        As typed.
    sections
        Of the file, those that this command takes.

    Raises
    ------
    ConfigError
        The file cannot be read, or is none that a tuning wrote.

    """
    return [word for argument in arguments for word in _words(argument, sections)]


def _words(argument: str, sections: Sequence[str]) -> Iterator[str]:
    name, _, value = argument.partition("=")
    if name != OPTION:
        yield argument
        return
    content = _content(value)
    for section in sections:
        yield from content[section]


def _content(path: str) -> dict[str, list[str]]:
    right = "needs the tuned.yaml of a tuning"
    try:
        found: Any = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{OPTION}={path}: {right} ({reason})") from error
    fine = isinstance(found, dict) and {"simulated", "common"} <= found.keys()
    fine = fine and all(isinstance(word, str) for of in found.values() for word in of)
    require(fine, OPTION, path, right)
    return {name: list(of) for name, of in found.items()}
