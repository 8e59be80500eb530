"""The options of a tuning itself."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssdsim.command.own_section import default_folder
from ssdsim.errors import require

SECTION = "tune"


@dataclass(frozen=True)
class TuneOptions:
    """How a tuning goes about it.

    Attributes
    ----------
    asked
        The most configurations of a method that the search asks for before it goes down to
        neighbours.
    finalists
        Candidates that are compared over the worlds that the profile leaves possible.
    worlds
        The most of these; each is met twice, with other luck.
    confidence
        That in the mean over worlds none of the finalists is better than the choice by more than
        0.2 %, where they are told apart before all worlds are used up.
    acceptance_error, time_error
        Of a profile that was not measured here: the standard deviation of the chance that a drafted
        token is accepted, and of the logarithm of either model's seconds. None: 0.02 and 0.05.
    devices
        That a candidate may use. None: those of target and draft, as the machine describes them.
    seed
        Of the search.
    folder
        Where everything goes; "": under outputs/tune, named after the question, so that the same
        command goes on from what was evaluated.

    """

    asked: int = 32
    finalists: int = 6
    worlds: int = 8
    confidence: float = 0.95
    acceptance_error: float | None = None
    time_error: float | None = None
    devices: int | None = None
    seed: int = 0
    folder: str = ""

    def __post_init__(self) -> None:
        for name, least in (("asked", 0), ("finalists", 2), ("worlds", 2), ("seed", 0)):
            value = getattr(self, name)
            fine = _is_count(value) and value >= least
            require(fine, f"tune.{name}", value, f"needs a number >= {least}")
        fine = self.devices is None or (_is_count(self.devices) and self.devices >= 1)
        require(fine, "tune.devices", self.devices, "needs a number >= 1")
        fine = _is_share(self.confidence) and self.confidence > 0
        require(fine, "tune.confidence", self.confidence, "needs a number above 0 and below 1")
        for name in ("acceptance_error", "time_error"):
            value = getattr(self, name)
            right = "needs a number from 0 to below 1"
            require(value is None or _is_share(value), f"tune.{name}", value, right)
        require(isinstance(self.folder, str), "tune.folder", self.folder, "needs a name")

    def out(self, words: list[str]) -> Path:
        """Return the folder of a tuning with these words."""
        if self.folder:
            return Path(self.folder)
        return default_folder(SECTION, words)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1
