"""Where draft and target run: on which devices, and on which cores of the host."""

import os
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from ssdsim.errors import ConfigError, require


class Partition(NamedTuple):
    """A part of a GPU that is cut in two: some multiprocessors, which are nobody else's.

    Attributes
    ----------
    cut
        Share of the multiprocessors on the first side.
    first
        Whether it is that side.

    """

    cut: float
    first: bool

    @property
    def name(self) -> str:
        """Its share of the multiprocessors, as asked for."""
        return f"{100 * (self.cut if self.first else 1 - self.cut):g}%"


@dataclass(frozen=True)
class Place:
    """Where one model runs.

    Attributes
    ----------
    device
        As torch names it.
    cores
        Cores of the host that its process, or its thread of one, runs on, with a thread each.
    partitions
        Of a GPU that is cut in two those that the model has, both if it has all of the GPU; empty
        where none is cut.

    """

    device: str
    cores: tuple[int, ...]
    partitions: tuple[Partition, ...] = ()

    @property
    def name(self) -> str:
        """What spans call it."""
        if self.device == "cpu":
            return f"core {'+'.join(map(str, self.cores))}"
        return " ".join([self.device, "+".join(one.name for one in self.partitions)]).rstrip()

    @property
    def count(self) -> int:
        """Devices in use: cores where the host computes, else a GPU or the parts of one."""
        return len(self.cores) if self.device == "cpu" else max(len(self.partitions), 1)

    @property
    def partition(self) -> Partition | None:
        """The part of a GPU that the model must keep to; None: it has all of its device."""
        return self.partitions[0] if len(self.partitions) == 1 else None


@dataclass(frozen=True)
class Places:
    """Where the two models of a run are.

    Attributes
    ----------
    together
        Whether they share a process, a thread and a stream each. Two processes on one GPU only
        take turns, unless a service shares it out.

    """

    target: Place
    draft: Place
    together: bool = False

    @property
    def device_pages(self) -> bool:
        """Whether the draft's probabilities stay in the memory of its device."""
        return self.draft.device != "cpu"

    def devices(self, draft_on: str | None) -> list[dict[str, Any]]:
        """Describe the devices in use, as `run.json` lists them."""
        alone = draft_on is None
        shared = not alone and self._device(self.target) == self._device(self.draft)
        found = [_describe(self.target, ["target", "draft"] if shared else ["target"])]
        return found if shared or alone else [*found, _describe(self.draft, ["draft"])]

    @staticmethod
    def _device(place: Place) -> Place:
        return place if place.device == "cpu" else replace(place, cores=())


def _describe(place: Place, lanes: list[str]) -> dict[str, Any]:
    return {
        "name": place.name,
        "lanes": lanes,
        "count": place.count,
        "busy_watts": None,
        "idle_watts": None,
    }


@contextmanager
def kept_on(cores: Collection[int]) -> Iterator[None]:
    """Keep this process on these cores meanwhile; empty: wherever it is.

    A message costs least between processes of one core, since no other core has to wake up.
    """
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Topology(Protocol):
    """A way to share a machine between draft and target."""

    def places(self, draft_on: str | None) -> Places:
        """Return where the models run; `draft_on` says where the method wants its draft."""
        ...

    def spread(self) -> Places | None:
        """Return both models on every device there is, taking turns; None if that cannot be."""
        ...


class Cpu:
    """A core each. Without a second core both processes take turns on the one."""

    def __init__(self) -> None:
        self.cores = tuple(sorted(os.sched_getaffinity(0)))[:2]

    def places(self, draft_on: str | None) -> Places:
        """Return the first core for the target, and the second for a draft of its own."""
        first, last = self.cores[:1], self.cores[-1:]
        return Places(Place("cpu", first), Place("cpu", last if draft_on == "own" else first))

    def spread(self) -> Places | None:
        """Return both cores for both."""
        both = Place("cpu", self.cores)
        return Places(both, both) if len(self.cores) > 1 else None


@dataclass(frozen=True)
class OneGpu:
    """Both models on the first GPU, in one process.

    Attributes
    ----------
    split
        Share of the multiprocessors that are the target's, the others being the draft's. Then the
        GPU counts as two devices, as two cores do: a method that takes turns has the target's.
        None: both run on all of them, and the target goes first where both want the same.

    """

    split: float | None = None

    def places(self, draft_on: str | None) -> Places:
        """Return the first GPU for both, or the target's part of it, and the other for a draft."""
        if self.split is None:
            return self._both(())
        target, draft = (Partition(self.split, first) for first in (True, False))
        own = draft if draft_on == "own" else target
        return Places(_gpu(0, 0, (target,)), _gpu(0, 1, (own,)), together=True)

    def spread(self) -> Places | None:
        """Return all of the GPU for both."""
        if self.split is None:
            return self._both(())
        return self._both(tuple(Partition(self.split, first) for first in (True, False)))

    @staticmethod
    def _both(partitions: tuple[Partition, ...]) -> Places:
        return Places(_gpu(0, 0, partitions), _gpu(0, 1, partitions), together=True)


class OneGpuTwoProcesses:
    """Both models on the first GPU, in processes of their own."""

    def places(self, draft_on: str | None) -> Places:  # noqa: ARG002 - there is no choice
        """Return the first GPU for both."""
        return Places(_gpu(0, 0), _gpu(0, 1))

    def spread(self) -> Places | None:
        """Return the same: there is one device."""
        return self.places(None)


class TwoGpus:
    """A GPU each."""

    def places(self, draft_on: str | None) -> Places:
        """Return the first GPU for the target, and the second for a draft of its own."""
        if draft_on == "own":
            return Places(_gpu(0, 0), _gpu(1, 1))
        return Places(_gpu(0, 0), _gpu(0, 1), together=True)

    def spread(self) -> Places | None:
        """Return nothing: a target over two GPUs is not known here."""
        return None


def _gpu(number: int, core: int, partitions: tuple[Partition, ...] = ()) -> Place:
    """Return a GPU that is driven from one core, if there are so many."""
    cores = tuple(sorted(os.sched_getaffinity(0)))
    return Place(f"cuda:{number}", cores[core % len(cores) :][:1], partitions)


TOPOLOGIES: dict[str, Callable[[], Topology]] = {
    "cpu": Cpu,
    "one_gpu": OneGpu,
    "one_gpu_two_processes": OneGpuTwoProcesses,
    "two_gpus": TwoGpus,
}
NEEDED = {"cpu": 0, "one_gpu": 1, "one_gpu_two_processes": 1, "two_gpus": 2}


def topology(name: str, split: float | None = None) -> Topology:
    """Return a topology by name.

    Parameters
    ----------
    name
        One of `TOPOLOGIES`; `auto` takes the first of those with the most GPUs that are there.
    split
        Share of one GPU's multiprocessors for the target; None: it is not split.

    Raises
    ------
    ConfigError
        There is no such topology, this machine has too few GPUs for it, or it has no use for a
        split.

    """
    gpus = _gpus()
    if name == "auto":
        name = max((n for n in NEEDED if NEEDED[n] <= gpus), key=lambda n: NEEDED[n])
    if name not in TOPOLOGIES:
        known = ", ".join(["auto", *TOPOLOGIES])
        raise ConfigError(f"topology={name!r}: no such topology; choose among {known}")
    right = f"needs {NEEDED[name]} GPU, there are {gpus}"
    require(NEEDED[name] <= gpus, "topology", name, right)
    return TOPOLOGIES[name]() if split is None else _split(name, split)


def _split(name: str, split: float) -> Topology:
    right = "needs a share of the multiprocessors over 0 and below 1, or null"
    number = isinstance(split, int | float) and not isinstance(split, bool)
    require(number and 0 < split < 1, "split", split, right)
    right = f"needs topology=one_gpu, where one process has both models, not {name}"
    require(name == "one_gpu", "split", split, right)
    return OneGpu(float(split))


def _gpus() -> int:
    """Count the GPUs, without loading torch into this process."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([part for part in visible.split(",") if part.strip() not in {"", "-1"}])
    return len(list(Path("/proc/driver/nvidia/gpus").glob("*")))
