"""Service times interpolated in a measured table."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self, get_args

import numpy as np

from ssdsim.errors import ConfigError, require
from ssdsim.latency.base import Pass

AXES = ("batch", "tokens", "context")


@dataclass(frozen=True)
class Table:
    """Seconds of each pass on a grid, linear in each axis between grid points.

    Attributes
    ----------
    passes
        For each pass a mapping with `seconds`, nested lists of the shape of its axes in the order
        `batch`, `tokens`, `context`, and these axes as increasing lists. Tokens count all rows
        together, context is the mean of the rows. The pass does not depend on an axis that is
        left out, and covers the range of one that is given, no more: a time outside what was
        measured is an error, never a guess.
    devices
        Devices that these times were taken on.
    elsewhere
        By another number of devices the passes of the same model spread over them.
    block
        Tokens of a chain that a drafting pass makes; see `ssdsim.latency.base.block_of`.

    Raises
    ------
    ConfigError
        The table is malformed; the message names pass and key.

    Examples
    --------
    >>> table = Table({"step": {"seconds": 0.002}, "verify": {"tokens": [1, 9], "seconds": [1, 2]}})
    >>> table.seconds("verify", batch=1, tokens=5, context=300)
    1.5

    """

    passes: dict[str, dict[str, Any]]
    devices: int = 1
    elsewhere: dict[int, dict[str, dict[str, Any]]] = field(default_factory=dict)
    block: int = 1

    def __post_init__(self) -> None:
        require(self.devices >= 1, "devices", self.devices, "must be at least 1")
        require(self.block >= 1, "block", self.block, "must be at least 1")
        # A command line writes the numbers as text.
        right = "must be numbers of devices"
        for devices in self.elsewhere:
            require(str(devices).isdigit(), "elsewhere", devices, right)
        elsewhere = {int(devices): passes for devices, passes in self.elsewhere.items()}
        object.__setattr__(self, "elsewhere", elsewhere)
        for devices, passes in elsewhere.items():
            type(self)(passes, devices)
        # Reading the grids now makes a malformed table fail here, not in the middle of a run.
        require(bool(self._grids), "passes", self.passes, "must hold at least one pass")

    def seconds(self, work: Pass, batch: int, tokens: int, context: int) -> float:
        """Return the seconds of one pass; see `Latency.seconds`."""
        key = (work, batch, tokens, context)
        try:
            return self._known[key]
        except KeyError:
            return self._known.setdefault(key, self._look_up(key))

    def spread(self, devices: int) -> Self | None:
        """Return the table that was taken on that many devices; None if there is none."""
        if devices == self.devices:
            return self
        known = self.elsewhere.get(devices)
        return None if known is None else type(self)(known, devices, block=self.block)

    def _look_up(self, key: tuple[Pass, int, int, int]) -> float:
        work, *point = key
        if work not in self._grids:
            raise ConfigError(f"pass={work!r}: there are only {', '.join(self.passes)}")
        return self._grids[work].at(point)

    @cached_property
    def _grids(self) -> dict[str, "_Grid"]:
        return {work: _grid(work, entry) for work, entry in self.passes.items()}

    @cached_property
    def _known(self) -> dict[tuple[Pass, int, int, int], float]:
        # A simulation asks for few distinct passes very often, and a look-up is a dict's.
        return {}


@dataclass(frozen=True, slots=True)
class _Grid:
    """One pass's times: its name, the axes it depends on, and values nested in that order."""

    work: str
    axes: dict[str, list[float]]
    values: Any

    def at(self, point: list[int]) -> float:
        asked = [value for name, value in zip(AXES, point, strict=True) if name in self.axes]
        for value, (name, grid) in zip(asked, self.axes.items(), strict=True):
            if not grid[0] <= value <= grid[-1]:
                covered = f"the table covers {grid[0]:g} to {grid[-1]:g} for {self.work!r}"
                raise ConfigError(f"{name}={value!r}: {covered}")
        return _interpolate(list(self.axes.values()), self.values, asked)


def _interpolate(axes: list[list[float]], values: Any, point: list[int]) -> float:
    if not axes:
        return float(values)
    low = bisect_right(axes[0], point[0]) - 1
    start = _interpolate(axes[1:], values[low], point[1:])
    if axes[0][low] == point[0]:
        return start  # exact, and the last grid point has no next one
    end = _interpolate(axes[1:], values[low + 1], point[1:])
    share = (point[0] - axes[0][low]) / (axes[0][low + 1] - axes[0][low])
    return start + share * (end - start)


def _grid(work: str, entry: Mapping[str, Any]) -> _Grid:
    known = get_args(Pass)
    require(work in known, "passes", work, f"must be one of {', '.join(known)}")
    require(isinstance(entry, Mapping), f"passes.{work}", entry, "must be a mapping")
    for key in entry:
        right = f"must be seconds, {', '.join(AXES)}"
        require(key in (*AXES, "seconds"), f"passes.{work}", key, right)
    require("seconds" in entry, f"passes.{work}", sorted(entry), "must have seconds")
    axes = {name: _axis(f"passes.{work}.{name}", entry[name]) for name in AXES if name in entry}
    values = _numbers(f"passes.{work}.seconds", entry["seconds"])
    shape = tuple(len(axis) for axis in axes.values())
    right = f"must have the shape {shape} of the axes {', '.join(axes) or '(none)'}"
    require(values.shape == shape, f"passes.{work}.seconds", values.shape, right)
    require(bool((values >= 0).all()), f"passes.{work}.seconds", entry["seconds"], "must be >= 0")
    return _Grid(work, axes, values.tolist())


def _axis(option: str, given: object) -> list[float]:
    values = _numbers(option, given)
    right = values.ndim == 1 and values.size > 0 and bool((np.diff(values) > 0).all())
    require(right, option, given, "must be a list of increasing numbers")
    return [float(value) for value in values]


def _numbers(option: str, given: Any) -> "np.ndarray[Any, np.dtype[np.float64]]":
    try:
        values = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{option}={given!r}: must be numbers in even rows") from error
    require(bool(np.isfinite(values).all()), option, given, "must be finite numbers")
    return values
