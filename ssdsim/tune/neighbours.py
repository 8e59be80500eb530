"""The neighbours of a configuration: what differs from it in one option, by a step or two."""

from collections.abc import Mapping, Sequence
from typing import Any

from ssdsim.tune.search_space import Family, Options, are_numbers


def neighbours(families: Sequence[Family], options: Options) -> list[Options]:
    """Return what differs from a configuration in one option: the next number, any other choice.

    A family of other choices has one neighbour, the one with most in common.
    """
    return [one for way in ways(families) for one in along(way, families, options)]


def ways(families: Sequence[Family]) -> list[str | None]:
    """Return what neighbours may differ in: an option, or the family, which is None."""
    names = dict.fromkeys(name for family in families for name in family.values)
    return [*names, None]


def along(way: str | None, families: Sequence[Family], options: Options) -> list[Options]:
    """Return the neighbours of a configuration that differ in one of `ways`."""
    own = dict(options)
    if way is None:
        return [_nearest(family, own) for family in families if not family.holds(options)]
    within = next(family for family in families if family.holds(options)).values
    values = _beside(within[way], own[way]) if way in within else []
    return [tuple({**own, way: value}.items()) for value in values]


def beyond(
    way: str | None, families: Sequence[Family], before: Options, after: Options
) -> list[Options]:
    """Return what lies twice as far on as a step along one of `ways`; nothing where it ends there.

    Only numbers have a direction.
    """
    values = next(family for family in families if family.holds(after)).values.get(way or "", ())
    if way is None or not values or not are_numbers(values):
        return []
    old, new = (values.index(dict(options)[way]) for options in (before, after))
    at = min(max(new + 2 * (new - old), 0), len(values) - 1)
    return [] if at == new else [tuple({**dict(after), way: values[at]}.items())]


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
