"""In which settings runs differ, as far as all of them have these."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

OWN = ("out", "overwrite", "keep", "page")
"""Where a run goes, which is no setting of what is run."""
OF_PROFILES = ("profile", "acceptance", "latency", "workload", "pair")
"""Sections whose choice has a name of its own, which only a command has."""
SAMPLING = ("decoding", "sampling")
"""Sections in which runs from Python keep what runs from the command line have at the top."""


def differing(configs: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return by option the values of runs that do not all have the same.

    Options of a section whose choice differs are left out: they are of different things.

    Parameters
    ----------
    configs
        `config` of each run's `run.json`, of commands or from Python.

    """
    flat = [dict(_leaves(config)) for config in configs]
    shared = [name for name in flat[0] if all(name in other for other in flat)]
    unlike = [name for name in shared if any(other[name] != flat[0][name] for other in flat)]
    unlike = [name for name in unlike if name.partition(".")[0] not in OWN]
    sections = {name for name in unlike if "." not in name}
    told = [name for name in unlike if "." not in name or name.partition(".")[0] not in sections]
    return {name: [other[name] for other in flat] for name in told}


def _leaves(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every option by its dotted name, and what was chosen of a kind by the section's."""
    for name, value in config.items():
        if name == "_target_":
            if prefix and prefix.partition(".")[0] not in OF_PROFILES:
                yield prefix.rstrip("."), _short(value)
        elif name == "choices":
            yield from ((group, value[group]) for group in OF_PROFILES if group in value)
        elif isinstance(value, Mapping):
            yield from _leaves(value, "" if name in SAMPLING else f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _short(target: object) -> str:
    """Return the short name of a kind that a file may name by its path."""
    last = str(target).rpartition(".")[2]
    return re.sub(r"(?<!^)(?=[A-Z])", "_", last).lower()
