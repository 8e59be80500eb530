"""Memory bandwidth of a core: the upper limit for a pass that reads all its weights."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any

from ssdreal.bench.helper_process import Helper

BYTES = 256 << 20
"""Read at a time: many times what the caches hold."""

SECONDS = 1.0
"""How long each way of reading is repeated."""


@dataclass(frozen=True)
class Ceiling:
    """Bytes a second that a core reads, alone and while the other core reads as well."""

    alone: float
    together: float | None


def ceiling(cores: Sequence[int], size: int = BYTES, seconds: float = SECONDS) -> Ceiling:
    """Measure how fast the first of these cores reads memory, and how fast beside the second."""
    with ExitStack() as exits:
        helpers = [exits.enter_context(Helper([core])) for core in cores[:2]]
        for helper in helpers:
            helper.call(stream, size, 0.0)  # which imports torch and touches the memory
        alone = helpers[0].call(stream, size, seconds)
        if len(helpers) < 2:
            return Ceiling(alone, None)
        for helper in helpers:
            helper.ask(stream, size, seconds)
        return Ceiling(alone, min(helper.answer() for helper in helpers))


def stream(size: int, seconds: float) -> float:
    """Return the bytes a second of the fastest of several ways to read a buffer once.

    Each way is repeated for `seconds`, and its median counts.
    """
    buffer = _buffer(size)
    return max(size / _median_seconds(read, seconds) for read in _ways(buffer))


def _ways(buffer: Any) -> list[Callable[[], object]]:
    import numpy as np
    import torch

    floats = torch.from_numpy(buffer)
    whole = floats.view(torch.int64)
    return [floats.sum, whole.sum, buffer.view(np.int64).max]


def _buffer(size: int) -> Any:
    import numpy as np

    if size not in _kept:
        _kept[size] = np.ones(size // 4, np.float32)
    return _kept[size]


_kept: dict[int, Any] = {}


def _median_seconds(read: Callable[[], object], seconds: float) -> float:
    taken: list[float] = []
    start = perf_counter()
    while not taken or perf_counter() - start < seconds:
        before = perf_counter()
        read()
        taken.append(perf_counter() - before)
    return median(taken)
