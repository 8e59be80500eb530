"""Plug-ins: one file each in the folder of their kind, found by looking.

The file `topk_outcomes.py` holds the dataclass `TopkOutcomes`; its fields are its options.
"""

from dataclasses import is_dataclass
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

GROUPS = {
    "method": "ssdsim.methods",
    "policy": "ssdsim.policies",
    "backup": "ssdsim.backups",
    "acceptance": "ssdsim.acceptance",
}


def plugins(group: str) -> dict[str, type]:
    """Return the dataclasses of a group by option name, in alphabetical order."""
    package = import_module(GROUPS[group])
    modules = [
        import_module(f"{package.__name__}.{m.name}") for m in iter_modules(package.__path__)
    ]
    found = {_stem(module): getattr(module, _title(module), None) for module in modules}
    return {
        name: plugin
        for name, plugin in found.items()
        if isinstance(plugin, type) and is_dataclass(plugin)
    }


def _title(module: ModuleType) -> str:
    return "".join(word.title() for word in _stem(module).split("_"))


def _stem(module: ModuleType) -> str:
    return module.__name__.rpartition(".")[2]
