"""What is asked of CUDA, on a driver and a torch that write it down."""

import sys
from contextlib import contextmanager
from enum import IntEnum
from types import ModuleType, SimpleNamespace

import pytest
import torch

from ssdreal.places import cuda
from ssdreal.places.cuda import Half, enter, nearest, split
from ssdreal.places.places import Partition

GPU = torch.device("cuda", 1)


class Result(IntEnum):
    CUDA_SUCCESS = 0
    CUDA_ERROR_NOT_SUPPORTED = 801


class Driver(ModuleType):
    """A driver with `count` multiprocessors, that can fail in one function.

    Arguments must come as `cuda.bindings.driver` takes them, and answers are tuples as its are.
    """

    CUdevResourceType = SimpleNamespace(CU_DEV_RESOURCE_TYPE_SM=1)
    CUgreenCtxCreate_flags = SimpleNamespace(CU_GREEN_CTX_DEFAULT_STREAM=1)
    CUstream_flags = SimpleNamespace(CU_STREAM_NON_BLOCKING=1)

    def __init__(self, count=132, step=8, least=8, failing=None):
        super().__init__("cuda.bindings.driver")
        self.count, self.step, self.least, self.failing = count, step, least, failing
        self.splits, self.contexts, self.streams = 0, [], []

    def cuDeviceGet(self, ordinal):  # noqa: N802 - the driver's own names
        return self._answer("cuDeviceGet", f"device {ordinal}")

    def cuDeviceGetDevResource(self, device, kind):  # noqa: N802
        assert (device, kind) == ("device 1", 1)
        return self._answer("cuDeviceGetDevResource", self._resource(0, self.count))

    def cuDevSmResourceSplitByCount(self, groups, resource, flags, least):  # noqa: N802
        assert (groups, flags) == (1, 0)
        assert resource.sm.smCount == self.count, "what was split cannot be split again"
        self.splits += 1
        rounded = -(-least // self.step) * self.step
        parts = [self._resource(0, rounded)], 1, self._resource(rounded, self.count)
        return self._answer("cuDevSmResourceSplitByCount", *parts)

    def cuDevResourceGenerateDesc(self, resources, count):  # noqa: N802
        assert isinstance(resources, list)
        assert len(resources) == count == 1
        return self._answer("cuDevResourceGenerateDesc", resources[0])

    def cuGreenCtxCreate(self, description, device, flags):  # noqa: N802
        assert (device, flags) == ("device 1", 1)
        self.contexts.append(description)
        return self._answer("cuGreenCtxCreate", description)

    def cuGreenCtxStreamCreate(self, context, flags, priority):  # noqa: N802
        assert (flags, priority) == (1, 0)
        self.streams.append(context)
        return self._answer("cuGreenCtxStreamCreate", 100 + len(self.streams))

    def cuGreenCtxGetDevResource(self, context, kind):  # noqa: N802
        assert kind == 1
        return self._answer("cuGreenCtxGetDevResource", context)

    def _resource(self, begin, end):
        sm = SimpleNamespace(
            smCount=end - begin, minSmPartitionSize=self.least, smCoscheduledAlignment=self.step
        )
        return SimpleNamespace(sm=sm, own=range(begin, end))

    def _answer(self, name, *values):
        if name == self.failing:
            return Result.CUDA_ERROR_NOT_SUPPORTED, *(None for _ in values)
        return Result.CUDA_SUCCESS, *values


# The split


@pytest.mark.parametrize(
    ("count", "cut", "least", "step", "found"),
    [
        (132, 0.6, 8, 8, 80),  # 79.2
        (132, 0.5, 8, 8, 64),  # 66
        (132, 0.01, 8, 8, 8),
        (132, 0.99, 8, 8, 120),  # 124 would leave 8, 128 leaves 4
        (108, 0.75, 4, 2, 80),  # 81 is half way: the even multiple
        (10, 0.5, 4, 4, 4),
        (7, 0.3, 1, 1, 2),
    ],
)
def test_a_cut_is_where_the_gpu_can_be_cut(count, cut, least, step, found):
    assert nearest(count, cut, least, step) == found


def test_a_gpu_that_is_too_small_is_not_cut():
    with pytest.raises(RuntimeError, match="14 multiprocessors are too few for two sides of 8"):
        nearest(14, 0.5, 8, 8)


def test_one_split_gives_two_sides_with_nothing_in_common():
    driver = Driver()
    assert split(driver, 1, 0.6) == (Half(101, 80), Half(102, 52))
    first, second = (set(context.own) for context in driver.contexts)
    assert not first & second
    assert len(first | second) == driver.count
    assert driver.splits == 1
    assert driver.streams == driver.contexts


@pytest.mark.parametrize("name", [name for name in vars(Driver) if name.startswith("cu")])
def test_what_the_driver_cannot_do_is_an_error_with_its_name(name):
    with pytest.raises(RuntimeError, match="CUDA_ERROR_NOT_SUPPORTED"):
        split(Driver(failing=name), 1, 0.6)


# Streams


class Torch:
    """Stands in for `torch.cuda`: notes what becomes of this thread's stream."""

    def __init__(self):
        self.log = []

    def set_device(self, device):
        self.log.append(("device", device))

    def default_stream(self, device):
        return SimpleNamespace(synchronize=lambda: self.log.append(("loaded", device)))

    def get_device_properties(self, device):
        assert device == GPU
        return SimpleNamespace(name="A GPU", multi_processor_count=132)

    def Stream(self, device, priority):  # noqa: N802 - torch's own names
        return "stream", device, priority

    def ExternalStream(self, handle, device):  # noqa: N802
        return "external", device, handle

    def set_stream(self, stream):
        self.log.append(stream)


@pytest.fixture
def stand_in(monkeypatch):
    """Put a torch without a GPU, and a driver, in their places."""
    for known in (cuda._stream, cuda._made):
        known.cache_clear()

    def put(driver):
        found = Torch()
        monkeypatch.setattr(cuda, "cuda", found)
        bindings = ModuleType("cuda.bindings")
        if driver is not None:
            bindings.driver = driver
        monkeypatch.setitem(sys.modules, "cuda", ModuleType("cuda"))
        monkeypatch.setitem(sys.modules, "cuda.bindings", bindings)
        return found

    yield put
    for known in (cuda._stream, cuda._made):
        known.cache_clear()


def test_without_a_split_the_target_goes_first_on_all_of_the_gpu(stand_in):
    found = stand_in(None)
    given = [enter(GPU, role, None) for role in ("draft", "target")]
    assert [(one.model, one.multiprocessors, one.whole) for one in given] == 2 * [
        ("A GPU", 132, "")
    ]
    before = [("device", GPU), ("loaded", GPU)]
    assert found.log == [*before, ("stream", GPU, 0), *before, ("stream", GPU, -1)]


def test_both_lanes_have_their_side_of_one_split(stand_in):
    driver = Driver()
    found = stand_in(driver)
    for _ in range(2):  # runs
        target = enter(GPU, "target", Partition(0.6, first=True))
        draft = enter(GPU, "draft", Partition(0.6, first=False))
        turns = enter(GPU, "draft", Partition(0.6, first=True))
    assert [one.multiprocessors for one in (target, draft, turns)] == [80, 52, 80]
    streams = [entry[2] for entry in found.log if entry[0] == "external"]
    assert streams == 2 * [101, 102, 101]
    assert driver.splits == 1


@pytest.mark.parametrize(
    ("driver", "reason"),
    [
        (None, "cannot import name 'driver'"),
        (Driver(failing="cuGreenCtxCreate"), "(CUDA_ERROR_NOT_SUPPORTED)"),
        (Driver(count=8), "(8 multiprocessors are too few for two sides of 8)"),
        (ModuleType("cuda.bindings.driver"), "has no attribute 'CUdevResourceType'"),
    ],
    ids=["no bindings", "an error", "a small GPU", "old bindings"],
)
def test_a_gpu_that_cannot_be_split_is_shared_and_says_so(driver, reason, stand_in):
    found = stand_in(driver)
    given = enter(GPU, "target", Partition(0.6, first=True))
    assert given.multiprocessors == 132
    assert given.whole.startswith("the GPU could not be split (")
    assert reason in given.whole
    assert found.log[-1] == ("stream", GPU, -1)


# Graphs


class Graphs:
    """Stands in for the part of `torch.cuda` that captures: what is captured is not carried out."""

    def __init__(self):
        self.current, self.capturing, self.options = "none", None, []

    def CUDAGraph(self):  # noqa: N802
        graph = SimpleNamespace(work=[])
        graph.replay = lambda: [work() for work in graph.work]
        return graph

    @contextmanager
    def stream(self, stream):
        before, self.current = self.current, stream
        yield
        self.current = before

    @contextmanager
    def graph(self, graph, **options):
        assert self.capturing is None, "a process captures one graph at a time"
        self.options.append(options)
        self.capturing = graph
        yield
        self.capturing = None


def test_a_capture_warms_up_on_the_lane_s_stream_and_replays_what_it_saw(monkeypatch):
    graphs, done = Graphs(), []
    monkeypatch.setattr(cuda, "cuda", graphs)

    def work():
        if graphs.capturing is not None:
            graphs.capturing.work.append(lambda: done.append("replayed"))
            return
        done.append(graphs.current)

    replay = cuda.cuda_capture("lane", "pool")(work)
    assert done == cuda.WARM_UPS * ["lane"]
    assert graphs.options == [
        {"pool": "pool", "stream": "lane", "capture_error_mode": "thread_local"}
    ]
    done.clear()
    replay()
    replay()
    assert done == 2 * ["replayed"]


def test_a_capture_that_fails_lets_others_go_on(monkeypatch):
    monkeypatch.setattr(cuda, "cuda", Graphs())
    capture = cuda.cuda_capture("lane", "pool")

    def failing():
        raise RuntimeError("operation not permitted when stream is capturing")

    with pytest.raises(RuntimeError, match="not permitted"):
        capture(failing)
    assert not cuda._one_at_a_time.locked()
