"""Options that a command has of its own, in a section beside those of the simulator."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

from ssdsim.errors import require

Options = TypeVar("Options")


def own_options(kind: type[Options], section: str, values: Mapping[str, Any]) -> Options:
    """Return the options of a section, by name.

    Raises
    ------
    ConfigError
        There is no such option, or its value is not possible.

    """
    known = [one.name for one in fields(kind)]  # type: ignore[arg-type] # a dataclass
    for name, value in values.items():
        right = f"no such option; choose among {', '.join(known)}"
        require(name in known, f"{section}.{name}", value, right)
    return kind(**values)


def default_folder(section: str, words: Sequence[str]) -> Path:
    """Return where results go that no folder was named for: the same words find it again."""
    return Path("outputs") / section / sha256(" ".join(words).encode()).hexdigest()[:12]
