"""What can be chosen by name: plug-ins and profiles, found by looking.

A plug-in is one file in the folder of its kind: `topk_outcomes.py` holds the dataclass
`TopkOutcomes`, and its fields are its options. This module must stay light, `--help` needs it.
"""

from dataclasses import Field, fields, is_dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CONF = ROOT / "conf"
TRACES = ROOT / "traces"

GROUPS = {
    "method": "ssdsim.methods",
    "policy": "ssdsim.policies",
    "backup": "ssdsim.backups",
    "length": "ssdsim.lengths",
    "acceptance": "ssdsim.acceptance",
    "tree": "ssdsim.trees",
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


def options(plugin: type) -> list[Field[Any]]:
    """Return the fields that can be set: a field that its plug-in fixes is no option."""
    return [field for field in fields(plugin) if field.init]


def profile_files() -> dict[str, Path]:
    """Return the profiles by name: `conf/profile/NAME.yaml`, then `traces/NAME/profile.yaml`."""
    shipped = {path.stem: path for path in sorted((CONF / "profile").glob("*.yaml"))}
    traces = {path.parent.name: path for path in sorted(TRACES.glob("*/profile.yaml"))}
    return traces | shipped


def _title(module: ModuleType) -> str:
    return "".join(word.title() for word in _stem(module).split("_"))


def _stem(module: ModuleType) -> str:
    return module.__name__.rpartition(".")[2]
