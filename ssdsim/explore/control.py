"""A control of the explorer: an option, and the values that it can have."""

from dataclasses import dataclass
from typing import Literal

from ssdsim.kinds import short_name
from ssdsim.options.plugins import plugins

Value = str | float | None


@dataclass(frozen=True)
class Control:
    """An option that can be changed.

    Attributes
    ----------
    name, label
        As the command line calls it, and what it means.
    kind
        "range": a slider; "choice": one of several names; "number": any number, or a choice.
    value
        What it is now.
    min, max, step
        Of a slider or a number.
    choices
        Names.

    """

    name: str
    label: str
    kind: Literal["range", "choice", "number"]
    value: Value
    min: float | None = None
    max: float | None = None
    step: float | None = None
    choices: tuple[str, ...] = ()


def chosen(group: str, label: str, plugin: object) -> Control:
    """Return the choice among the plug-ins of a group."""
    now = short_name(type(plugin))
    return Control(group, label, "choice", now, choices=tuple(plugins(group)))


def slider(name: str, label: str, value: float, least: float, most: float, step: float) -> Control:
    """Return a slider; its end makes room for a value beyond."""
    return Control(name, label, "range", value, least, max(most, value), step)
