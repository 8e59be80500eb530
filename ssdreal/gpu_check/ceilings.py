"""Measures a GPU's peak memory bandwidth and arithmetic, to compare passes with.

`python -m ssdreal.gpu_check.ceilings DEVICE FILE` measures, and writes a JSON file as it goes on.
"""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

from ssdsim.system.atomic_files import write_text

COPIED = 4 << 30
"""Bytes of a copy: many times what the device's cache holds."""

SIDE = 8192
"""Rows and columns of the factors of a matrix product."""

HOST = {"copied": 1 << 28, "side": 1024}
"""What a host can do in a moment."""

TIMES = 12


def ceilings(device: str, copied: int = COPIED, side: int = SIDE) -> Iterator[dict[str, Any]]:
    """Measure a device, and yield what is known of it so far.

    Parameters
    ----------
    device
        As torch names it.
    copied, side
        Bytes of a copy, and rows of the factors of a product.

    Yields
    ------
    dict
        `name`, `multiprocessors`, `copy_bytes_per_s` (bytes read and bytes written both count) and
        `product_flop_per_s`, in bfloat16 on random numbers.

    """
    import torch

    source = torch.empty(copied, dtype=torch.uint8, device=device)
    goal = torch.empty_like(source)
    watch = _events if device.startswith("cuda") else _clock
    found = _described(device)
    found["copy_bytes_per_s"] = 2 * copied / _seconds(lambda: goal.copy_(source), watch)
    yield found
    left, right = (torch.randn(side, side, dtype=torch.bfloat16, device=device) for _ in range(2))
    found["product_flop_per_s"] = 2 * side**3 / _seconds(lambda: left @ right, watch)
    yield found


def _described(device: str) -> dict[str, Any]:
    import torch

    if not device.startswith("cuda"):
        return {"name": device, "multiprocessors": None}
    found = torch.cuda.get_device_properties(device)
    return {"name": found.name, "multiprocessors": found.multi_processor_count}


def _seconds(work: Callable[[], object], watch: Callable[[Callable[[], object]], float]) -> float:
    """Return the median seconds of a piece of work, warmed up."""
    taken = [watch(work) for _ in range(TIMES)]
    return median(taken[TIMES // 4 :])


def _events(work: Callable[[], object]) -> float:
    import torch

    event: Any = torch.cuda.Event
    start, end = event(enable_timing=True), event(enable_timing=True)
    start.record()
    work()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end)) * 1e-3


def _clock(work: Callable[[], object]) -> float:
    from time import perf_counter

    start = perf_counter()
    work()
    return perf_counter() - start


def main(device: str, file: str) -> None:
    """Measure, and write down what is known so far."""
    for found in ceilings(device, **HOST) if device == "cpu" else ceilings(device):
        write_text(Path(file), json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
