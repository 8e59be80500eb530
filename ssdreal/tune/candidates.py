"""Reads what `python -m ssdsim.tune` has left: its candidates, the best one first."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import msgspec

from ssdreal.executor.prompt_files import check_plain
from ssdreal.profile.split import check_plain_name
from ssdsim.errors import ConfigError, require

FILE = "tune.json"
SCHEMA = 1


@dataclass(frozen=True)
class Candidate:
    """A configuration, and what the simulator says of it.

    Attributes
    ----------
    name, options
        What it is called, and what is typed after `python -m ssdreal` for it.
    tokens_per_s, low, high
        Predicted, and within which bounds; None where these are not said.
    probability_best
        That it is the best one, by the simulator; None where that is not said.

    """

    name: str
    options: str
    tokens_per_s: float
    low: float | None = None
    high: float | None = None
    probability_best: float | None = None

    def __post_init__(self) -> None:
        check_plain_name(self.name, "name")
        right = "needs a number above 0"
        for name in ("tokens_per_s", "low", "high"):
            value = getattr(self, name)
            fine = value is None or (isfinite(value) and value > 0)
            require(fine, f"{self.name}: {name}", value, right)


@dataclass(frozen=True)
class Tuning:
    """A simulated tuning.

    Attributes
    ----------
    schema
        Of the file.
    profile
        What it was simulated with: a folder of traces/.
    candidates
        The best one first.
    fixed
        Options that all have in common.

    """

    schema: int
    profile: str
    candidates: Sequence[Candidate]
    fixed: str = ""

    def __post_init__(self) -> None:
        require(self.schema == SCHEMA, "schema", self.schema, f"needs {SCHEMA}")
        plain = Path(self.profile).name == self.profile and self.profile not in {"", ".."}
        require(plain, "profile", self.profile, "needs the name of a folder in traces/")
        names = [one.name for one in self.candidates]
        twice = sorted({name for name in names if names.count(name) > 1})
        require(not twice, "candidates", twice, "are there twice, need names of their own")

    def overrides(self, one: Candidate) -> str:
        """Return all options of a candidate."""
        return f"{self.fixed} {one.options}".strip()


def read_tuning(path: str) -> Tuning:
    """Read a simulated tuning from its folder, or from the file there.

    Raises
    ------
    ConfigError
        It is none; the message begins with the path.

    """
    file = Path(path) / FILE if Path(path).is_dir() else Path(path)
    check_plain(str(file), file)
    try:
        return msgspec.json.decode(file.read_bytes(), type=Tuning)
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read ({error.strerror or error})") from error
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        right = f"needs the {FILE} that python -m ssdsim.tune has written"
        raise ConfigError(f"{file}: {right} ({error})") from error
