"""Refuses option groups that are given anything but a name."""

from collections.abc import Sequence
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Glob, Override, RangeSweep

from ssdsim.errors import ConfigError, require


def check_flags(unknown: Sequence[str]) -> None:
    """Refuse what begins with dashes and is no flag of Hydra's."""
    for word in unknown:
        right = "there is no such flag; options have no dashes"
        raise ConfigError(f"{word}: {right}" + (f": {word.lstrip('-')}" if "=" in word else ""))


def check_choices(overrides: Sequence[str]) -> None:
    """Refuse numbers, lists and the like where a group's options are chosen among.

    A mapping changes values of the option that is chosen, and a pattern finds names.

    Raises
    ------
    ConfigError
        Naming the group, the value and the options.
    OverrideParseException
        Something is not of the form OPTION=VALUE.

    """
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        check_word(override)
        options = _options(override.key_or_group)
        if options is not None and not override.is_delete():
            right = f"needs the name of an option among {', '.join(options)}"
            for value in _values(override):
                # An interpolation may come to no text at all, which Hydra does not say in words.
                named = isinstance(value, str) and value.strip() != "" and "${" not in value
                require(named, override.key_or_group, value, right)


def check_word(override: Override) -> None:
    """Refuse a value of no option, and a range in which there is nothing.

    Whatever such a range was meant for would be left out.
    """
    if not override.key_or_group:
        raise ConfigError(f"{override.input_line}: needs the form OPTION=VALUE")
    if isinstance(override.value(), RangeSweep) and not [*override.sweep_iterator()]:
        raise ConfigError(f"{override.input_line}: is empty, a range ends before its second number")


def _options(group: str) -> list[str] | None:
    """Return the names of a group's options; None if it is no group."""
    found: Any = ConfigStore.instance().repo
    for part in group.split("/"):
        found = found.get(part) if isinstance(found, dict) else None
    names = sorted(name.removesuffix(".yaml") for name in found or () if name.endswith(".yaml"))
    return names if names or "/" in group else None


def _values(override: Override) -> list[Any]:
    """Return what is asked for, one after the other in a sweep."""
    value = override.value()
    if isinstance(value, ChoiceSweep):
        return [getattr(each, "text", each) for each in value.list]  # the text of a quoted one
    if isinstance(value, RangeSweep):
        return [value.start]
    return [] if isinstance(value, Glob | dict) else [value]
