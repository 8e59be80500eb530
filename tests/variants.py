"""Every method and every length control with every choice that it offers."""

from itertools import product
from typing import Literal, get_args, get_origin, get_type_hints

from ssdsim.plugins import options, plugins


def methods():
    """Return an instance of every method for every combination of its choices."""
    return [one for kind in plugins("method").values() for one in variants(kind)]


def lengths():
    """Return an instance of every length control for every combination of its choices."""
    return [one for kind in plugins("length").values() for one in variants(kind)]


def variants(kind):
    """Return `kind` with every combination of its fields that name their values."""
    hints = get_type_hints(kind)
    choices = {field.name: _values(hints[field.name]) for field in options(kind)}
    chosen = {name: values for name, values in choices.items() if values}
    return [kind(**dict(zip(chosen, values, strict=True))) for values in product(*chosen.values())]


def _values(hint):
    if get_origin(hint) is Literal:
        return get_args(hint)
    return (False, True) if hint is bool else ()
