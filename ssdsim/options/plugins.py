"""Finds the plug-ins and profiles that can be chosen by name.

A plug-in is one file in the folder of its kind: `topk_outcomes.py` holds the dataclass
`TopkOutcomes`, and its fields are its options. This module must stay light, `--help` needs it.
"""

from collections.abc import Mapping
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

from ssdsim.kinds import plugins_in
from ssdsim.system.package_data import CONF, SHIPPED, TRACES

GROUPS = {
    "method": "ssdsim.methods",
    "drafter": "ssdsim.drafters",
    "policy": "ssdsim.policies",
    "backup": "ssdsim.backups",
    "length": "ssdsim.lengths",
    "verify": "ssdsim.cuts",
    "acceptance": "ssdsim.acceptance",
    "tree": "ssdsim.trees",
    "workload": "ssdsim.workloads",
    "serving": "ssdsim.serving",
    "router": "ssdsim.routers",
}


def plugins(group: str) -> Mapping[str, type]:
    """Return the dataclasses of a group by option name, in alphabetical order."""
    return plugins_in(GROUPS[group])


def options(plugin: type) -> list[Field[Any]]:
    """Return the fields that can be set: a field that its plug-in fixes is no option."""
    return [field for field in fields(plugin) if field.init]


def profile_files() -> dict[str, Path]:
    """Return the profiles by name: `conf/profile/NAME.yaml`, then `traces/NAME/profile.yaml`.

    Those that come with the project are first: what a name of theirs means must not depend on the
    folder that one works in.
    """
    found: dict[str, Path] = {}
    for folder in (TRACES, SHIPPED):
        found |= {path.parent.name: path for path in sorted(folder.glob("*/profile.yaml"))}
    return found | {path.stem: path for path in sorted((CONF / "profile").glob("*.yaml"))}
