"""The neighbours of a configuration: what differs from it in one option, by a step or two."""

from collections.abc import Mapping, Sequence
from typing import Any

from ssdsim.tune.search_space import Family, Options, are_numbers


def neighbours(families: Sequence[Family], options: Options) -> list[Options]:
    """Return what differs from a configuration in one option: the next number, any other choice.

    A family of other choices has one neighbour, the one with most in common.
    """
    own = dict(options)
    found: list[Options] = []
    for family in families:
        if not family.holds(options):
            found.append(_nearest(family, own))
            continue
        for name, values in family.values.items():
            found += [tuple({**own, name: value}.items()) for value in _beside(values, own[name])]
    return found


def _nearest(family: Family, own: Mapping[str, Any]) -> Options:
    return tuple((name, _closest(values, own.get(name))) for name, values in family.values.items())


def _closest(values: Sequence[Any], wanted: Any) -> Any:
    if wanted in values:
        return wanted
    if are_numbers(values) and isinstance(wanted, int | float):
        return min(values, key=lambda value: abs(value - wanted))
    return values[len(values) // 2]


def _beside(values: Sequence[Any], own: Any) -> list[Any]:
    if not are_numbers(values):
        return [value for value in values if value != own]
    at = values.index(own)
    return [*values[max(at - 2, 0) : at], *values[at + 1 : at + 3]]
