"""The interface of formats, and what several of them share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

from ssdsim.errors import ConfigError
from ssdsim.observe.files import OPTION, Source
from ssdsim.observe.told import Told


@runtime_checkable
class Format(Protocol):
    """A format: a dataclass without fields, one file each in this folder.

    Attributes
    ----------
    title
        What it is, in the words of those who have it.
    key
        What `--json` prints it under.

    """

    title: ClassVar[str]
    key: ClassVar[str]

    def recognises(self, source: Source) -> bool:
        """Return whether a file is of this format; of others it must say no."""
        ...

    def read(self, sources: Sequence[Source]) -> Told:
        """Return what the files of one server tell together.

        Raises
        ------
        ConfigError
            They are of this format, but do not hold what it is read for; in one line.

        """
        ...

    def says(self, told: Told) -> dict[str, Any]:
        """Return what was inferred, as `--json` prints it."""
        ...


def missing(sources: Sequence[Source], what: str) -> ConfigError:
    """Return the error that files do not hold something."""
    names = " ".join(str(source.path) for source in sources)
    return ConfigError(f"{OPTION}={names}: {what}")


def either(record: Mapping[str, Any], *names: str) -> Any:
    """Return the first of these entries that a record has; None if it has none of them.

    Releases rename their fields: the newest name stands first.
    """
    return next((record[name] for name in names if record.get(name) is not None), None)


def mean(values: Sequence[float], weights: Sequence[float] | None = None) -> float | None:
    """Return a weighted mean; None of nothing."""
    shares = weights or [1.0] * len(values)
    total = sum(shares)
    return sum(v * w for v, w in zip(values, shares, strict=True)) / total if total > 0 else None


@dataclass
class Mean:
    """A weighted mean of so many values that they are not kept."""

    total: float = 0.0
    weight: float = 0.0

    def add(self, value: float, weight: float = 1.0) -> None:
        """Take another value in."""
        self.total += value * weight
        self.weight += weight

    @property
    def value(self) -> float | None:
        """The mean; None of nothing."""
        return self.total / self.weight if self.weight > 0 else None


def median(values: Sequence[float], weights: Sequence[float]) -> float | None:
    """Return a weighted median: what a few intervals of another kind do not move."""
    ordered, half = sorted(zip(values, weights, strict=True)), sum(weights) / 2
    for value, weight in ordered:
        half -= weight
        if half <= 0:
            return value
    return None


def known(**values: Any) -> dict[str, Any]:
    """Return the values that are known."""
    return {name: value for name, value in values.items() if value not in (None, (), [])}
