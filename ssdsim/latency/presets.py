"""Presets in `conf/`: where they lie, and the devices among them."""

import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ssdsim.errors import ConfigError, require
from ssdsim.system.package_data import CONF


@dataclass(frozen=True, slots=True)
class Device:
    """One device of a kind, as its datasheet and a calibration describe it.

    Attributes
    ----------
    flops
        Peak of dense matrix products in the weights' type, FLOP/s.
    bandwidth
        Peak memory bandwidth, bytes/s.
    shared_bandwidth
        Peak memory bandwidth of all devices of one machine together, bytes/s; infinite for
        devices that have memory of their own.
    capacity
        Memory, bytes.
    link_bandwidth
        Bytes/s at which one device sends to its neighbours in an all-reduce.
    link_latency
        Seconds of an all-reduce of a very small message.
    launch_overhead
        Seconds of a pass in which neither memory nor arithmetic is busy: launching kernels,
        preparing inputs, sampling. A property of the engine more than of the device.
    bandwidth_efficiency, compute_efficiency
        Shares of the peaks that a good kernel reaches, in (0, 1].
    knee
        How sharply a pass turns from memory-bound to compute-bound, at least 1.
    watts, idle_watts
        Power under load and idle.

    """

    flops: float
    bandwidth: float
    shared_bandwidth: float
    capacity: float
    link_bandwidth: float
    link_latency: float
    launch_overhead: float
    bandwidth_efficiency: float
    compute_efficiency: float
    knee: float
    watts: float
    idle_watts: float

    def __post_init__(self) -> None:
        for name in (field.name for field in fields(self)):
            value = getattr(self, name)
            require(not math.isnan(value) and value >= 0, name, value, "must be at least 0")
        for name in ("flops", "bandwidth", "shared_bandwidth", "capacity", "link_bandwidth"):
            require(getattr(self, name) > 0, name, getattr(self, name), "must be above 0")
        for name in ("bandwidth_efficiency", "compute_efficiency"):
            require(0 < getattr(self, name) <= 1, name, getattr(self, name), "must be in (0, 1]")
        require(self.knee >= 1, "knee", self.knee, "must be at least 1")


def find_preset(option: str, name: str, suffixes: tuple[str, ...]) -> Path:
    """Return the file that `name` stands for: a preset's in `conf/<option>/`, or a path.

    Parameters
    ----------
    option
        The group of presets, and what an error calls the option: "shape" or "device".
    name
        A preset's name or a path to a file.
    suffixes
        File name endings that presets of this group may have.

    Raises
    ------
    ConfigError
        There is no such preset and no such file.

    """
    folder = CONF / option
    # Presets first: what a name means must not depend on the folder that one works in.
    paths = [*(folder / f"{name}{suffix}" for suffix in suffixes), Path(name)]
    found = next((path for path in paths if path.is_file()), None)
    if found is None:
        known = sorted(path.stem for path in folder.glob("*") if path.suffix in suffixes)
        raise ConfigError(f"{option}={name!r}: must be a file or one of {', '.join(known)}")
    return found


def read_device(name: str) -> Device:
    """Read a device preset, or a YAML or JSON file with the same fields.

    Raises
    ------
    ConfigError
        There is no such device, or its file is malformed.

    """
    path = find_preset("device", name, (".yaml", ".json"))
    values = _mapping(path)
    wrong = sorted(values.keys() ^ {field.name for field in fields(Device)})
    require(not wrong, "device", str(path), f"missing or unknown: {', '.join(wrong)}")
    try:
        # PyYAML reads 3e9 as text: YAML 1.1 floats need a dot and a signed exponent.
        return Device(**{key: float(value) for key, value in values.items()})
    except (TypeError, ValueError) as error:
        raise ConfigError(f"device={name!r}: {path}: {error}") from error


def _mapping(path: Path) -> dict[str, Any]:
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))  # JSON is YAML too
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"device={str(path)!r}: must be YAML or JSON") from error
    require(isinstance(values, dict), "device", str(path), "must map fields to numbers")
    return dict(values)
