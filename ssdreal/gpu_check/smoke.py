"""Asks a GPU for one thing after another that everything else relies on.

`python -m ssdreal.gpu_check.smoke DEVICE FILE OPTION=VALUE ...` notes how each step ended as soon
as it did, and goes on after one that failed. What cannot be asked of a host says that it needs a
GPU.
"""

import json
import os
import platform
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ssdreal.workers.lifetime import lower_priority
from ssdsim.system.atomic_files import write_text

PACKAGES = ("torch", "triton", "transformers", "cuda-bindings", "simpy", "hydra-core", "msgspec")
SPLIT = 0.75
SIZE = 1 << 20
REPLAYS = 3
GPU = "needs a GPU"

Step = Callable[[str], Any]
"""From a device to what was found there."""


def run(steps: Mapping[str, Step], device: str, file: Path) -> bool:
    """Take all steps, and write down how each ended; return whether none failed.

    Parameters
    ----------
    steps
        By name, in order.
    device
        As torch names it.
    file
        JSON: of each step `ended` ("well", "badly", or that it needs a GPU) and `found`.

    """
    ended: dict[str, Any] = {}
    for name, step in steps.items():
        print(f"--- {name}", flush=True)  # noqa: T201 - a log
        ended[name] = _ended(step, device)
        print(json.dumps(ended[name], indent=2), flush=True)  # noqa: T201
        write_text(file, json.dumps(ended, indent=2) + "\n")
    return all(one["ended"] != "badly" for one in ended.values())


def _ended(step: Step, device: str) -> dict[str, Any]:
    try:
        found = step(device)
    except Exception:  # noqa: BLE001 - whatever it is, the next step is taken
        traceback.print_exc()
        return {"ended": "badly", "found": traceback.format_exc().splitlines()}
    return {"ended": GPU if found == GPU else "well", "found": found}


def versions(device: str) -> dict[str, Any]:
    """Return what is installed, and what the device is."""
    import torch

    found: dict[str, Any] = {"python": platform.python_version()}
    found |= {name: _version(name) for name in PACKAGES}
    found |= {"cuda": torch.version.cuda, "cores": os.cpu_count()}
    if device != "cpu":
        known = torch.cuda.get_device_properties(device)
        found["device"] = f"{known.name}, {known.multi_processor_count} multiprocessors"
    return found


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def priority(device: str) -> str:  # noqa: ARG001 - it is the host that is asked
    """Say whether the system lets a process give way, and that a worker can live without it."""
    lower_priority()
    batch = getattr(os, "SCHED_BATCH", None)
    if batch is None:
        return "there is no SCHED_BATCH"
    return "SCHED_BATCH" if os.sched_getscheduler(0) == batch else "SCHED_BATCH was refused"


def split(device: str) -> Any:
    """Split the GPU; return the multiprocessors of both sides."""
    if device == "cpu":
        return GPU
    return {role: _entered(device, role) for role in ("draft", "target")}


def _entered(device: str, role: Any) -> int:
    """Keep to a side of the GPU in this thread; return its multiprocessors."""
    import torch

    from ssdreal.places.cuda import enter
    from ssdreal.places.places import Partition

    given = enter(torch.device(device), role, Partition(SPLIT, role == "target"))
    if given.whole:
        raise RuntimeError(given.whole)
    return given.multiprocessors


def graph(device: str) -> Any:
    """Capture a graph on one side of the GPU, replay it, and time it by events."""
    if device == "cpu":
        return GPU
    import torch

    from ssdreal.places.cuda import cuda_capture
    from ssdreal.static.device_clock import Stopwatch

    _entered(device, "target")
    numbers = torch.zeros(SIZE, device=device)
    pool = torch.cuda.graph_pool_handle()

    def work() -> None:
        numbers.add_(1)

    replay = cuda_capture(torch.cuda.current_stream(), pool)(work)
    numbers.zero_()
    event: Any = torch.cuda.Event
    watch = Stopwatch(partial(event, enable_timing=True))
    for number in range(REPLAYS):
        with watch.timing(number):
            replay()
    spans = watch.read()
    assert numbers.eq(REPLAYS).all(), f"{REPLAYS} replays came to {numbers[0]}"
    return {"microseconds a replay": [(end - start) / 1e3 for _, start, end in spans]}


def fused(device: str, words: Sequence[str]) -> Any:
    """Compile every fused function, and compare it with what it was made from."""
    if device == "cpu":
        return GPU
    from ssdreal.gpu_check.fused_functions import compared

    with compared() as found:
        for decoding in decodings():
            tiny_run(device, words, decoding)
    wrong = {name: how for name, how in found.items() if how != "the same"}
    for name, how in wrong.items():
        print(f"{name}: {how}")  # noqa: T201
    assert not wrong, f"{', '.join(wrong)} of {', '.join(found)}"
    return found


def decodings() -> list[Any]:
    """Return ways of sampling that use every function between them."""
    from ssdsim.sampling.settings import Decoding

    cut = Decoding(1.0, top_k=20, top_p=0.9, saguaro_constant=0.3)
    return [Decoding(), Decoding(1.0, "gumbel"), cut]


def tiny_run(device: str, words: Sequence[str], decoding: Any) -> Any:
    """Return a run in this process, each pass launched directly.

    Parameters
    ----------
    device
        As torch names it.
    words
        Options as `python -m ssdreal` takes them. Shapes are those of a run that has them too.
    decoding
        How tokens are sampled.

    """
    from ssdreal.executor.execution import Execution
    from ssdreal.gpu_check.decoding import ready
    from ssdreal.gpu_check.in_process import InProcess
    from ssdreal.models.catalog import shared_vocabulary
    from ssdreal.places.places import Place, Places
    from ssdreal.static.draft_server import StaticDraftServer
    from ssdreal.static.server import CAPTURES
    from ssdreal.static.target_server import StaticSelfServer
    from ssdreal.workers.loading import load

    job = ready("ssd", [*words, "topology=cpu"])
    pair, dtype, eager = job.request.pair, job.request.dtype, CAPTURES["eager"]
    read = partial(load, dtype=dtype, device=device, target=pair.target)
    read = partial(read, vocabulary=shared_vocabulary(*pair.models))
    target = StaticSelfServer(read(pair.target), eager)
    draft = StaticDraftServer(read(pair.draft), eager)
    here = Places(Place(device, ()), Place(device, ()), together=True)
    setup = replace(job.request.setup, decoding=decoding)
    running = Execution(setup, lambda: InProcess(target, draft), here, job.tasks)
    running.run()
    return running.result()


def steps(words: Sequence[str]) -> dict[str, Step]:
    """Return all steps; the last one decodes with these options."""
    return {
        "versions": versions,
        "priority": priority,
        "split": split,
        "graph on a split": graph,
        "fused functions": partial(fused, words=words),
    }


def main(device: str, file: str, *words: str) -> None:
    """Take all steps, and end with 1 where one failed."""
    sys.exit(0 if run(steps(words), device, Path(file)) else 1)


if __name__ == "__main__":
    main(*sys.argv[1:])
