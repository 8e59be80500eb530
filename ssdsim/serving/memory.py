"""The memory rule: the KV blocks that the devices have room for beside the models' weights."""

from dataclasses import dataclass

from ssdsim.errors import require
from ssdsim.latency.base import Latency
from ssdsim.latency.machine import Machine
from ssdsim.latency.roofline import Roofline


@dataclass(frozen=True)
class DeviceMemory:
    """Bytes of the target's devices together, and of what lies there.

    A draft on devices of its own takes none of these.

    Attributes
    ----------
    device_bytes
        Memory of all of the target's devices.
    weight_bytes
        Weights of the target, and of a draft beside it.
    token_bytes
        KV cache of one token, of the target and of a draft beside it.

    """

    device_bytes: float
    weight_bytes: float
    token_bytes: float

    def __post_init__(self) -> None:
        for name in ("device_bytes", "token_bytes"):
            value = getattr(self, name)
            require(value > 0, f"serving.memory.{name}", value, "needs bytes > 0")
        weights = self.weight_bytes
        require(weights >= 0, "serving.memory.weight_bytes", weights, "needs bytes >= 0")

    def blocks(self, size: int, utilization: float) -> int:
        """Return floor((devices · utilization - weights) / (size · bytes of a token))."""
        left = self.device_bytes * utilization - self.weight_bytes
        return max(0, int(left // (size * self.token_bytes)))


def known_memory(machine: Machine | None, draft_on: str | None) -> DeviceMemory | None:
    """Return the memory that follows from shapes and devices; None where these are not known."""
    target = None if machine is None else machine.target
    if machine is None or not isinstance(target, Roofline):
        return None
    beside = _beside(machine, draft_on)
    models = [target, *([beside] if isinstance(beside, Roofline) else [])]
    return DeviceMemory(
        target.capacity_bytes,
        sum(model.resident_bytes for model in models),
        sum(model.token_bytes for model in models),
    )


def _beside(machine: Machine, draft_on: str | None) -> Latency | None:
    """Return the draft where it shares the target's devices."""
    return (machine.colocated or machine.draft) if draft_on == "target" else None
