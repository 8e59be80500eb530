"""Service times from a model's shape and a device's peaks."""

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

from ssdsim.errors import require
from ssdsim.latency.base import Pass
from ssdsim.latency.presets import Device, read_device
from ssdsim.latency.shapes import Shape, read_shape


@dataclass(frozen=True)
class Roofline:
    """Seconds of a pass from the bytes it reads and the products it computes.

    A pass reads the weights and the caches of its rows, and multiplies each token with the
    weights and with what it attends to. With m and c the seconds of either at the device's peaks,
    the pass takes launch_overhead + (m^knee + c^knee)^(1/knee), and under tensor parallelism two
    all-reduces a layer on top. The kind of a pass matters only through its tokens.

    Attributes
    ----------
    shape
        A preset of `conf/shape/`, a Hugging Face `config.json` or the folder that holds it.
    device
        A preset of `conf/device/`, or a file like those.
    devices
        Devices that share every layer (tensor parallelism).
    weight_bytes
        Bytes a parameter: 2 for bfloat16, 4 for float32, 1 for 8-bit weights.
    launch_overhead
        Seconds of a pass beside its work, a property of the engine; None takes the device's.
    knee
        How sharply memory-bound turns to compute-bound: 1 adds the two times (no overlap),
        infinitely large takes the longer (perfect overlap); None takes the device's.
    block
        Tokens of a chain that a drafting pass makes; see `ssdsim.latency.base.block_of`.

    Raises
    ------
    ConfigError
        There is no such shape or device, a number is out of range, or the weights do not fit.

    References
    ----------
    S. Williams, A. Waterman, D. Patterson, "Roofline: an insightful visual performance model for
    multicore architectures", CACM 52(4), 2009.

    """

    shape: str
    device: str
    devices: int = 1
    weight_bytes: float = 2.0
    launch_overhead: float | None = None
    knee: float | None = None
    block: int = 1

    def __post_init__(self) -> None:
        require(self.devices >= 1, "devices", self.devices, "must be at least 1")
        require(self.block >= 1, "block", self.block, "must be at least 1")
        require(self.weight_bytes > 0, "weight_bytes", self.weight_bytes, "must be above 0")
        overhead, knee = self.launch_overhead, self.knee
        require(overhead is None or overhead >= 0, "launch_overhead", overhead, "must be >= 0 s")
        require(knee is None or knee >= 1, "knee", knee, "must be at least 1")
        weights = self.dimensions.parameters * self.weight_bytes
        need = math.ceil(weights / self.hardware.capacity)
        fits = f"must be at least {need} for the weights of {self.shape} to fit {self.device}"
        require(self.devices >= need, "devices", self.devices, fits)

    @cached_property
    def dimensions(self) -> Shape:
        """The model's shape."""
        return read_shape(self.shape)

    @cached_property
    def hardware(self) -> Device:
        """One of the devices."""
        return read_device(self.device)

    @property
    def capacity_bytes(self) -> float:
        """Memory of all devices."""
        return self.devices * self.hardware.capacity

    @property
    def resident_bytes(self) -> float:
        """Memory of the weights."""
        return self.dimensions.parameters * self.weight_bytes

    @property
    def token_bytes(self) -> float:
        """Memory of a token's keys and values on all devices, which do not split a head."""
        copies = max(1.0, self.devices / self.dimensions.kv_heads)
        return self.dimensions.cached * self._state_bytes * copies

    def seconds(self, work: Pass, batch: int, tokens: int, context: int) -> float:  # noqa: ARG002 - tokens tell the kinds apart
        """Return the seconds of one pass; see `Latency.seconds`."""
        if batch < 1 or tokens < 1 or context < 0:
            _refuse(batch, tokens, context)
        memory = self.memory_seconds(batch, context, tokens)
        compute = self.compute_seconds(batch, tokens, context)
        knee = self.knee or self.hardware.knee
        # Scaled by the longer one: powers of microseconds vanish at a large knee.
        long, short = max(memory, compute), min(memory, compute)
        busy = long * math.pow(1 + math.pow(short / long, knee), 1 / knee)
        return self._overhead + busy + self.link_seconds(tokens)

    @cached_property
    def _bandwidth(self) -> float:
        """Bytes a second that a device reads."""
        hardware = self.hardware
        bandwidth = min(hardware.bandwidth, hardware.shared_bandwidth / self.devices)
        return bandwidth * hardware.bandwidth_efficiency

    @cached_property
    def _flops(self) -> float:
        """Operations a second that a device computes."""
        return self.hardware.flops * self.hardware.compute_efficiency

    def spread(self, devices: int) -> Self | None:
        """Return the same model over that many devices; `ConfigError` if it does not fit them."""
        return replace(self, devices=devices)

    def memory_seconds(self, batch: int, context: int, tokens: int = 1) -> float:
        """Return the seconds of reading the weights, and `batch` caches of `context` tokens.

        Of a mixture of experts, those are read that the tokens go through (`Shape.read`).
        """
        shape = self.dimensions
        weights = shape.read(tokens) * self.weight_bytes / self.devices
        # A key-value head is not split: beyond kv_heads devices, they keep copies.
        share = min(self.devices, shape.kv_heads)
        caches = batch * context * shape.cached * self._state_bytes / share
        return (weights + caches) / self._bandwidth

    def compute_seconds(self, batch: int, tokens: int, context: int) -> float:
        """Return the seconds of the arithmetic for `tokens` tokens of `batch` rows.

        A token is a multiplication and an addition a parameter, and for attention twice that a
        query number and token attended to: the context, and half of its row's new tokens.
        """
        shape = self.dimensions
        attended = context + (tokens / batch + 1) / 2
        attention = 4 * shape.layers * shape.heads * shape.head_dim * attended
        flops = tokens * (2 * shape.multiplied + attention) / self.devices
        return flops / self._flops

    def link_seconds(self, tokens: int) -> float:
        """Return the seconds of the all-reduces, one after attention and one after each MLP."""
        if self.devices == 1:
            return 0.0
        shape, hardware = self.dimensions, self.hardware
        # A ring sends every number out and back, but for the device's own share.
        sent = 2 * (1 - 1 / self.devices) * tokens * shape.hidden * self._state_bytes
        return 2 * shape.layers * (hardware.link_latency + sent / hardware.link_bandwidth)

    @cached_property
    def _overhead(self) -> float:
        given = self.launch_overhead
        return self.hardware.launch_overhead if given is None else given

    @cached_property
    def _state_bytes(self) -> float:
        # Caches and activations stay in 16 bits where weights are quantised below that.
        return max(2.0, self.weight_bytes)


def _refuse(batch: int, tokens: int, context: int) -> None:
    """Raise `ConfigError` for the count that is too low."""
    require(batch >= 1, "batch", batch, "must be at least 1")
    require(tokens >= 1, "tokens", tokens, "must be at least 1")
    require(context >= 0, "context", context, "must be at least 0")
