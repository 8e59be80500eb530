"""Turns Hydra's errors about a command line into one line that says what would be right."""

import re

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

GIVEN = r"To append to your config use \+(.+)"
REWORDED = {
    r"To append to your default list use \+(.+)": (
        "{}: no such option; --help lists those that there are"
    ),
    r"You must specify '(.+?)'": "{}: needs the name of an option; --help lists them",
    r"Could not append to config. An item is already at '(.+?)'": (
        "+{}: is there already; to change its value leave the + out"
    ),
    r"Ambiguous value for argument '(.+?)'\n": (
        "{}: to try several values add -m; a list is written [3,5]"
    ),
}
"""What Hydra says, and what is said instead of what it is about."""


def explained(error: HydraException | OmegaConfBaseException) -> str:
    """Return what an error says, naming option, value and alternatives where it knows them."""
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options:
        group, _, name = error.missing_cfg_file.rpartition("/")
        return f"{group}={name}: no such option; choose among {', '.join(error.options)}"
    if isinstance(error, OverrideParseException):
        return f"{error.override}: needs the form OPTION=VALUE ({_first_line(error)})"
    cause, text = error.__cause__, str(error)
    if isinstance(cause, OmegaConfBaseException) and (given := re.search(GIVEN, text)):
        return f"{given[1]}: no such option; {_neighbours(cause)}"
    for pattern, words in REWORDED.items():
        if found := re.search(pattern, text):
            return words.format(found[1])
    return text if cause is None else f"{text}: {_first_line(cause)}"


def _neighbours(error: OmegaConfBaseException) -> str:
    parent = error.parent_node
    names = sorted(str(name) for name in parent) if isinstance(parent, DictConfig) else []
    known = [name for name in names if name not in {"hydra", "_target_"}]
    return f"choose among {', '.join(known)}" if known else "there are none here"


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]
