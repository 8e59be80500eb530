"""Every method, length control and verification cut with every choice that it offers."""

from dataclasses import MISSING
from itertools import product
from typing import Literal, get_args, get_origin, get_type_hints

from ssdsim import Simulation
from ssdsim.errors import ConfigError
from ssdsim.options.plugins import options, plugins


def methods():
    """Return an instance of every method for every combination of its choices."""
    return [one for kind in plugins("method").values() for one in variants(kind)]


def lengths():
    """Return an instance of every length control for every combination of its choices."""
    return [one for kind in plugins("length").values() for one in variants(kind)]


def cuts():
    """Return an instance of every verification cut for every combination of its choices."""
    return [one for kind in plugins("verify").values() for one in variants(kind)]


def variants(kind):
    """Return `kind` with every combination of its fields that name their values."""
    hints = get_type_hints(kind)
    choices = {field.name: _values(hints[field.name]) for field in options(kind)}
    chosen = {name: values for name, values in choices.items() if values}
    return [kind(**dict(zip(chosen, values, strict=True))) for values in product(*chosen.values())]


def other_values(kind, field):
    """Return values of an option of `kind` that are not its default."""
    hint = get_type_hints(kind)[field.name]
    default = field.default if field.default_factory is MISSING else field.default_factory()
    if values := _values(hint):
        return [value for value in values if value != default]
    numbers = (0, default + 1, default / 2, default * 4)
    return [type(default)(value) for value in numbers if value != default]


def fits(setup):
    """Return whether a setup's method can decode by its sampling and source."""
    try:
        Simulation(setup)
    except ConfigError:
        return False
    return True


def _values(hint):
    if get_origin(hint) is Literal:
        return get_args(hint)
    return (False, True) if hint is bool else ()
