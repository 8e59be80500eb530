"""`ssdsim.setup`: the options of the command line for notebooks and scripts."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hydra.core.override_parser.types import Quote, QuotedString

from ssdsim.command.choices import check_choices
from ssdsim.command.config import RUNS
from ssdsim.command.setting import Setting, names_of, own_options
from ssdsim.command.tuned import with_tuned
from ssdsim.engine.setup import Setup
from ssdsim.errors import ConfigError, require

PLAIN = re.compile(r"[A-Za-z_/][\w./-]*", re.ASCII)
VALUES = ("null", "true", "false", "inf", "nan")
"""Texts that need no quotes: what is written so, but is none of these values."""


def setup(*words: str, **options: Any) -> Setup:
    """Return the checked settings of a command line.

    Parameters
    ----------
    words
        As they stand after `python -m ssdsim`: "profile=two_cores", "policy.budget=16".
    options
        Options whose names have no dot, with their values: lookahead=5, policy="topk_outcomes".

    Raises
    ------
    ConfigError
        What the command line would refuse, in the same line; or an option of a run's directory.

    """
    asked = [*_typed(words), *(f"{name}={written(value)}" for name, value in options.items())]
    return setting(asked).setup


def setting(words: Sequence[str]) -> Setting:
    """Return the same with the config that it is of.

    Raises
    ------
    ConfigError
        As `setup`.

    """
    asked = with_tuned(words, ("simulated", "common"))
    for word, name in zip(asked, names_of(asked), strict=True):
        if re.split("[./]", name)[0] in {*RUNS, "hydra"}:
            raise ConfigError(f"{word}: has no effect, a setup does not say where a run goes")
    with own_options():
        check_choices(asked)
        return Setting.of(asked)


def _typed(words: Sequence[Any]) -> Iterator[str]:
    for word in words:
        require(isinstance(word, str), "setup", word, 'needs words as "policy.budget=16"')
        yield word


def written(value: Any) -> str:
    """Return a value as the command line takes it; a text in quotes where it might be misread."""
    if isinstance(value, str):
        named = PLAIN.fullmatch(value) and value.lower() not in VALUES
        return value if named else QuotedString(value, Quote.single).with_quotes()
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{name}: {written(each)}' for name, each in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{','.join(map(written, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else str(value)
