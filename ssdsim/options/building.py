"""Builds dataclasses from plain data, checks every value, and names the option in every error."""

import re
from collections.abc import Collection
from dataclasses import MISSING, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from ssdsim.errors import ConfigError, require
from ssdsim.kinds import kinds, named, short_name
from ssdsim.options.plugins import options
from ssdsim.run.results import describe

ABSENT = "???"
"""How OmegaConf writes down a value that is still to be given."""


def build(hint: Any, node: Any, path: str) -> Any:
    """Turn plain data into what the type `hint` asks for, checking every value.

    A mapping becomes the dataclass that its `_target_` or else the type names: see `ssdsim.kinds`
    for what it may say. A string alone is such a name with default options. `path` is the option's
    name, for errors.
    """
    known = _known(hint)
    if known and isinstance(node, str):
        node = {"_target_": node}
    if not isinstance(node, dict):
        return _checked(hint, node, path)
    kind = _class(hint, node, path)
    if kind is not None:
        values = {name: value for name, value in node.items() if name != "_target_"}
        return _checked(hint, make(kind, values, f"{path}."), path)
    if get_origin(hint) is dict:
        item = get_args(hint)[1]
        return {str(name): build(item, value, f"{path}.{name}") for name, value in node.items()}
    return _checked(hint, node, path)


def make(kind: type, values: dict[str, Any], prefix: str) -> Any:
    """Construct the dataclass `kind` after checking each value; names in errors get `prefix`."""
    known = options(kind)
    values = {name: value for name, value in values.items() if value != ABSENT}
    required = {f.name for f in known if f.default is MISSING and f.default_factory is MISSING}
    check_keys(values, [field.name for field in known], prefix, required)
    hints = get_type_hints(kind)
    built = {name: build(hints[name], value, prefix + name) for name, value in values.items()}
    try:
        return kind(**built)
    except ConfigError as error:
        raise ConfigError(_placed(str(error), prefix)) from error


def completed(hint: Any, node: Any) -> Any:
    """Write the defaults of the options that `node` leaves out into it.

    Hydra lets the command line change only what is there. What has no default becomes `ABSENT`.
    """
    if not isinstance(node, dict):
        return node
    try:
        kind = _class(hint, node, "")
    except ConfigError:
        return node  # `build` will say so, if it is asked to
    hints = get_type_hints(kind) if kind else {}
    inner = get_args(hint)[1] if get_origin(hint) is dict else None
    given = {name: completed(hints.get(name, inner), value) for name, value in node.items()}
    return {**(_defaults(kind) if kind else {}), **given}


def _defaults(kind: type) -> dict[str, Any]:
    hints, found = get_type_hints(kind), {}
    for field in options(kind):
        value = field.default_factory() if field.default_factory is not MISSING else field.default
        found[field.name] = ABSENT if value is MISSING else _default(hints[field.name], value)
    return found


def _default(hint: Any, value: Any) -> Any:
    """Write a default down; a nested plug-in without options by its short name.

    A name can be replaced by a mapping on the command line, as Hydra merges mappings.
    """
    alone = type(value) in _known(hint).values() and not options(type(value))
    return short_name(type(value)) if alone else describe(value)


def check_keys(
    values: Any, known: Collection[str], prefix: str, required: Collection[str] | None = None
) -> None:
    """Refuse unknown keys, and missing ones (all are required by default)."""
    if not isinstance(values, dict):
        raise ConfigError(f"{prefix.rstrip('.')}={values!r}: needs {', '.join(known)}")
    for name in values:
        if name not in known:
            there = f"choose among {', '.join(known)}" if known else "there are none here"
            raise ConfigError(f"{prefix}{name}={values[name]!r}: no such option; {there}")
    for name in sorted(set(known if required is None else required) - set(values)):
        raise ConfigError(f"{prefix}{name}: needs a value, it has no default")


def _placed(message: str, prefix: str) -> str:
    """Give the option that a dataclass complains about its full name; it knows only its own."""
    group = prefix.partition(".")[0]
    if message.startswith(prefix):
        return message
    message = message.removeprefix(f"{group}.")
    return prefix + message if re.match(r"[\w.]+=", message) else f"{prefix[:-1]}: {message}"


def _checked(hint: Any, value: Any, path: str) -> Any:
    types = _types(hint)
    if is_dataclass(value):  # made here, and checked already
        return _of_kind(types, value, path)
    known = _known(hint)
    bare = bool(known) and isinstance(value, dict)
    require(not bare, path, value, f"needs a _target_ among {', '.join(known)}")
    truth = isinstance(value, bool) and bool({int, float} & set(types))  # True would count as 1
    require(not truth, path, value, "needs a number")
    if len(types) == 1 and is_dataclass(types[0]) and get_origin(hint) is None:
        inner = ", ".join(f"{path}.{field.name}" for field in options(types[0]))
        raise ConfigError(f"{path}={value!r}: has options of its own: {inner}")
    try:
        return _adapter(hint).validate_python(value)
    except ValidationError as error:
        raise ConfigError(_sentence(error, value, path)) from error


def _of_kind(types: list[type], value: object, path: str) -> object:
    if not isinstance(value, tuple(types)):
        raise ConfigError(f"{path}: needs a {types[0].__name__}, not a {type(value).__name__}")
    return value


def _sentence(error: ValidationError, value: Any, path: str) -> str:
    """Say what is wrong with the first wrong part of `value`, and all that would be right."""
    first, *others = error.errors()
    parts = (
        value if isinstance(value, dict) else range(len(value) if isinstance(value, list) else 0)
    )
    place = [str(part) for part in first["loc"] if part in parts]
    same = [first, *(other for other in others if other["input"] is first["input"])]
    reason = " or ".join(dict.fromkeys(str(other["msg"]) for other in same))
    return f"{'.'.join([path, *place])}={first['input']!r}: {reason}"


@cache
def _adapter(hint: Any) -> TypeAdapter[Any]:
    plain = is_dataclass(hint)  # pydantic configures those by itself
    # A run's numbers are written as JSON, which has no infinity.
    checks = ConfigDict(arbitrary_types_allowed=True, allow_inf_nan=False)
    return TypeAdapter(hint, config=None if plain else checks)


def _known(hint: Any) -> dict[str, type]:
    """Return by short name what may be made where `hint` is asked for."""
    return kinds(_types(hint))


def _class(hint: Any, node: dict[str, Any], path: str) -> type | None:
    """Return what a mapping is to become: what it names, or else the dataclass asked for."""
    known = _known(hint)
    if "_target_" not in node:
        return next((kind for kind in _types(hint) if kind in known.values()), None)
    target = node["_target_"]
    found = named(target, known)
    if found is None:
        right = f"choose among {', '.join(known)}" if known else "there are none here"
        raise ConfigError(f"{path}={target!r}: no such kind; {right}")
    return found


def _types(hint: Any) -> list[type]:
    """Return the classes among the alternatives of a type."""
    alternatives = get_args(hint) if get_origin(hint) in {Union, UnionType} else (hint,)
    return [kind for kind in alternatives if isinstance(kind, type)]
