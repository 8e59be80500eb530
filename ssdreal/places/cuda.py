"""What needs CUDA itself: streams, splitting a GPU's multiprocessors, and CUDA graphs.

Nothing imports this but a worker whose model is on a GPU.
"""

from collections.abc import Callable
from functools import cache
from threading import Lock
from typing import Any, NamedTuple

import torch
from torch import cuda

from ssdreal.places.places import Given, Partition, Role

PRIORITY: dict[Role, int] = {"target": -1, "draft": 0}
"""Of streams that share all multiprocessors; the lower goes first. Everything waits for a verify,
while a tree may be cut short."""

WARM_UPS = 2
"""Runs before a capture: libraries allocate and choose their kernels in the first ones."""

_one_at_a_time = Lock()
"""A process may capture one graph at a time, and must split a GPU once for both lanes."""


class Half(NamedTuple):
    """One side of a GPU that is cut in two: its stream's handle, and its multiprocessors."""

    stream: int
    multiprocessors: int


def enter(device: torch.device, role: Role, partition: Partition | None) -> Given:
    """Run on the lane's own stream from here on, in this thread; return what it may use.

    Parameters
    ----------
    device, role
        Where which model is.
    partition
        The part of the GPU to keep to; None: all of it.

    """
    cuda.set_device(device)
    cuda.default_stream(device).synchronize()  # on which the weights were put there
    known = cuda.get_device_properties(device)
    found = f"{device} is not split" if partition is None else _halves(device.index, partition.cut)
    if partition is None or isinstance(found, str):
        cuda.set_stream(_stream(device, role))
        whole = "" if partition is None else str(found)
        return Given(known.name, known.multi_processor_count, whole)
    half = found[0 if partition.first else 1]
    cuda.set_stream(cuda.ExternalStream(half.stream, device=device))  # type: ignore[no-untyped-call]
    return Given(known.name, half.multiprocessors)


@cache
def _stream(device: torch.device, role: Role) -> cuda.Stream:
    return cuda.Stream(device, priority=PRIORITY[role])  # type: ignore[no-untyped-call]


def _halves(ordinal: int, cut: float) -> tuple[Half, Half] | str:
    """Return the two sides of a GPU, the same ones to both lanes; or why there are none."""
    with _one_at_a_time:
        return _made(ordinal, cut)


@cache
def _made(ordinal: int, cut: float) -> tuple[Half, Half] | str:
    try:
        from cuda.bindings import driver

        return split(driver, ordinal, cut)
    except (ImportError, AttributeError, RuntimeError) as error:
        return " ".join(f"the GPU could not be split ({error})".split())


def split(driver: Any, ordinal: int, cut: float) -> tuple[Half, Half]:
    """Cut a GPU in two: green contexts over disjoint multiprocessors, with a stream each.

    It is one split of the device, whose group and remainder are the two sides: two splits would
    each begin with the same multiprocessors. The contexts last as long as the process.

    Parameters
    ----------
    driver
        `cuda.bindings.driver`.
    ordinal
        Of the GPU, as torch counts.
    cut
        Share of the multiprocessors on the first side, as nearly as the driver cuts.

    Raises
    ------
    RuntimeError
        The driver cannot; the message has its reason.

    """
    kind = driver.CUdevResourceType.CU_DEV_RESOURCE_TYPE_SM
    device = _got(driver.cuDeviceGet(ordinal))
    whole = _got(driver.cuDeviceGetDevResource(device, kind))
    wanted = nearest(whole.sm.smCount, cut, whole.sm.minSmPartitionSize, _step(whole))
    groups, _, rest = _got(driver.cuDevSmResourceSplitByCount(1, whole, 0, wanted))
    first, second = (_half(driver, device, resource) for resource in (groups[0], rest))
    return first, second


def _step(whole: Any) -> int:
    return max(int(whole.sm.smCoscheduledAlignment), 1)


def nearest(count: int, cut: float, least: int, step: int) -> int:
    """Return the multiprocessors of the first side: a multiple of `step` that is near the cut.

    Raises
    ------
    RuntimeError
        There are too few for two sides of at least `least`.

    """
    low, high = -(-least // step) * step, (count - least) // step * step
    if not 0 < low <= high:
        raise RuntimeError(f"{count} multiprocessors are too few for two sides of {least}")
    return min(max(step * round(cut * count / step), low), high)


def _half(driver: Any, device: Any, resource: Any) -> Half:
    description = _got(driver.cuDevResourceGenerateDesc([resource], 1))
    default = driver.CUgreenCtxCreate_flags.CU_GREEN_CTX_DEFAULT_STREAM
    context = _got(driver.cuGreenCtxCreate(description, device, default))
    apart = driver.CUstream_flags.CU_STREAM_NON_BLOCKING
    stream = _got(driver.cuGreenCtxStreamCreate(context, apart, 0))
    kind = driver.CUdevResourceType.CU_DEV_RESOURCE_TYPE_SM
    given = _got(driver.cuGreenCtxGetDevResource(context, kind))
    return Half(int(stream), given.sm.smCount)


def _got(answer: tuple[Any, ...]) -> Any:
    """Return what a function of the driver returns besides its error code."""
    code, *values = answer
    if int(code):
        raise RuntimeError(getattr(code, "name", f"error {code}"))
    return values[0] if len(values) == 1 else values


Capture = Callable[[Callable[[], None]], Callable[[], None]]
"""From work over static buffers to its replay."""


def cuda_capture(stream: cuda.Stream, pool: Any) -> Capture:
    """Return what captures work over static buffers as a CUDA graph, and returns its replay.

    The work is done a few times before, for real. A replay runs on the thread's current stream,
    which must be this one: a graph keeps the priority and the multiprocessors that it was captured
    with.

    Parameters
    ----------
    stream
        The lane's own: `torch.cuda.current_stream()` once a run has begun.
    pool
        Memory that the graphs of a lane share: `torch.cuda.graph_pool_handle()`. What one leaves
        for another must lie outside it, and no two may be replayed side by side.

    """

    def capture(work: Callable[[], None]) -> Callable[[], None]:
        graph = cuda.CUDAGraph()
        with _one_at_a_time, cuda.stream(stream):
            for _ in range(WARM_UPS):
                work()
            # Calls that a capture forbids are the other lane's right, in its own thread.
            with cuda.graph(graph, pool=pool, stream=stream, capture_error_mode="thread_local"):
                work()
        return graph.replay

    return capture
