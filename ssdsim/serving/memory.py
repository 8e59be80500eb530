"""The memory rule: the KV blocks that the devices have room for beside the models' weights."""

from dataclasses import dataclass

from ssdsim.errors import require
from ssdsim.latency.base import Latency
from ssdsim.latency.roofline import Roofline
from ssdsim.serving.base import Load


@dataclass(frozen=True)
class DeviceMemory:
    """Bytes of a model's devices together, and of what lies there.

    Attributes
    ----------
    device_bytes
        Memory of all of its devices.
    weight_bytes
        Its weights, and those of a draft on the same devices.
    token_bytes
        Its KV cache of one token, and that of a draft on the same devices.

    """

    device_bytes: float
    weight_bytes: float
    token_bytes: float

    def __post_init__(self) -> None:
        for name in ("device_bytes", "token_bytes"):
            value = getattr(self, name)
            require(value > 0, name, value, "needs bytes > 0")
        require(self.weight_bytes >= 0, "weight_bytes", self.weight_bytes, "needs bytes >= 0")

    def blocks(self, size: int, utilization: float) -> int:
        """Return floor((devices · utilization - weights) / (size · bytes of a token))."""
        left = self.device_bytes * utilization - self.weight_bytes
        return max(0, int(left // (size * self.token_bytes)))


def target_memory(load: Load) -> DeviceMemory | None:
    """Return the memory that follows from shapes and devices; None where these are not known."""
    machine = load.machine
    if machine is None:
        return None
    beside = None if load.apart or load.draft_on is None else machine.colocated or machine.draft
    return _memory(machine.target, beside)


def draft_memory(load: Load) -> DeviceMemory | None:
    """Return likewise the memory of a draft on devices of its own; None where it has none."""
    return _memory(load.machine.draft) if load.machine is not None and load.apart else None


def _memory(model: Latency, beside: Latency | None = None) -> DeviceMemory | None:
    """Return the memory of a model's devices, on which there may be another."""
    if not isinstance(model, Roofline):
        return None
    models = [model, *([beside] if isinstance(beside, Roofline) else [])]
    return DeviceMemory(
        model.capacity_bytes,
        sum(each.resident_bytes for each in models),
        sum(each.token_bytes for each in models),
    )
