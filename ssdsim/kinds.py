"""Resolves the short names (`table`, `hazard`, ...) by which configuration files name classes.

The lowest floor: it imports nothing of this project by itself.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import is_dataclass
from functools import cache, reduce
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType, ModuleType

PROJECT = ("ssdsim", "ssdreal")


def short_name(kind: type) -> str:
    """Return what files call a class: `by_depth` for `ByDepth`, or else what it is `called`."""
    return str(getattr(kind, "called", _snake(kind.__name__)))


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def named(target: object, known: dict[str, type]) -> type | None:
    """Return the class that a file names; None if it is none of those `known` by short name.

    Nothing is imported for it. A dotted path of this project, as files once had them, counts by
    its last part, so that it is read wherever the module lies now, and by a name that the class
    had before the one that it has now.
    """
    path, _, name = str(target).rpartition(".")
    if path.partition(".")[0] in PROJECT:
        found = {kind.__name__: kind for kind in known.values()}
        return found.get(name, known.get(_snake(name)))
    return known.get(str(target))


def kinds(bases: Iterable[type]) -> dict[str, type]:
    """Return by short name the dataclasses that may stand where one of these types is asked for.

    A dataclass stands for itself. The kinds of a type from a file `base.py` are the plug-ins
    beside it, those of any other protocol lie in its own file.
    """
    found: dict[str, type] = reduce(lambda known, base: known | _kinds(base), bases, {})
    return found


def _kinds(base: type) -> dict[str, type]:
    module = import_module(base.__module__)
    if module.__name__.endswith(".base"):
        found = plugins_in(module.__name__.rpartition(".")[0])
        asked = [name for name in vars(base) if not name.startswith("_")]
        return {n: kind for n, kind in found.items() if all(hasattr(kind, name) for name in asked)}
    here = (base,) if is_dataclass(base) else _dataclasses(module)
    return {short_name(kind): kind for kind in here}


@cache
def _dataclasses(module: ModuleType) -> tuple[type, ...]:
    classes = (value for value in vars(module).values() if isinstance(value, type))
    own = (kind for kind in classes if kind.__module__ == module.__name__)
    return tuple(kind for kind in own if is_dataclass(kind))


def plugins_in(package: str) -> Mapping[str, type]:
    """Return by short name the dataclasses of a folder that their files are named after."""
    return _plugins_in(package, tuple(import_module(package).__path__))


@cache
def _plugins_in(package: str, paths: tuple[str, ...]) -> Mapping[str, type]:
    """Look through a folder, or several that make up a package, once."""
    modules = [import_module(f"{package}.{found.name}") for found in iter_modules(paths)]
    named_after = {_stem(module): getattr(module, _title(module), None) for module in modules}
    found = {
        name: plugin
        for name, plugin in named_after.items()
        if isinstance(plugin, type) and is_dataclass(plugin)
    }
    return MappingProxyType(found)


def _title(module: ModuleType) -> str:
    return "".join(word.title() for word in _stem(module).split("_"))


def _stem(module: ModuleType) -> str:
    return module.__name__.rpartition(".")[2]
