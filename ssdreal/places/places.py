"""The device and the host cores on which each model runs."""

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ssdsim.system.processor import cpu_quota

Role = Literal["target", "draft"]

THREADS = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"


class Given(NamedTuple):
    """What a GPU gave a model for a run.

    Attributes
    ----------
    model
        The GPU's own name.
    multiprocessors
        Those that its kernels run on.
    whole
        Why it has all of them where it was to keep to a part; empty: it was not, or does.

    """

    model: str
    multiprocessors: int
    whole: str = ""


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
    others
        Where a sharded model's other ranks run; it is the first rank that a run talks to.

    """

    device: str
    cores: tuple[int, ...]
    partitions: tuple[Partition, ...] = ()
    others: tuple["Place", ...] = ()

    @property
    def ranks(self) -> tuple["Place", ...]:
        """Where each rank runs."""
        return replace(self, others=()), *self.others

    @property
    def devices(self) -> tuple[str, ...]:
        """The device of each rank."""
        return tuple(rank.device for rank in self.ranks)

    @property
    def name(self) -> str:
        """What spans call it."""
        if self.device == "cpu":
            cores = (core for rank in self.ranks for core in rank.cores)
            return f"core {'+'.join(map(str, cores))}"
        numbers = "+".join(device.removeprefix("cuda:") for device in self.devices)
        return " ".join([f"cuda:{numbers}", "+".join(p.name for p in self.partitions)]).rstrip()

    @property
    def count(self) -> int:
        """Devices in use: cores where the host computes, else GPUs or the parts of one."""
        if self.device == "cpu":
            return sum(len(rank.cores) for rank in self.ranks)
        return max(len(self.partitions), len(self.ranks))

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
    own
        Cores that the run's process has to itself; empty: it shares the models'.

    """

    target: Place
    draft: Place
    together: bool = False
    own: tuple[int, ...] = ()

    @property
    def run(self) -> tuple[int, ...]:
        """Cores that the run's process is kept on.

        Among shared ones a message costs least between processes of one core, since no other has
        to wake up.
        """
        return self.own or tuple(sorted({*self.target.cores, *self.draft.cores}))

    @property
    def cores(self) -> set[int]:
        """The cores of all ranks of both."""
        places = (*self.target.ranks, *self.draft.ranks)
        return {core for place in places for core in place.cores}

    @property
    def device_pages(self) -> bool:
        """Whether the draft's probabilities stay in the memory of its device."""
        return self.draft.device != "cpu"

    def devices(self, draft_on: str | None) -> list[dict[str, Any]]:
        """Describe the devices in use, as `run.json` lists them."""
        alone = draft_on is None
        shared = not alone and self._device(self.draft) in map(self._device, self.target.ranks)
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


def sharded(ranks: Sequence[Place]) -> Place:
    """Return one place for all ranks of a model."""
    return replace(ranks[0], others=tuple(ranks[1:]))


def cores() -> tuple[int, ...]:
    """Return the cores that this process may run on, in order."""
    if can_pin():
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def threads_of(core: int) -> str:
    """Return the cores that are one core's threads, this one among them, as Linux writes them."""
    try:
        return Path(THREADS.format(core)).read_text(encoding="ascii")
    except OSError:  # another system, or one that does not say
        return str(core)


def spread_out(chosen: Sequence[int]) -> tuple[int, ...]:
    """Return cores, those last that are only one more thread of an earlier one."""
    first: dict[str, int] = {}
    for core in chosen:
        first.setdefault(threads_of(core), core)
    return tuple(sorted(chosen, key=lambda core: core not in first.values()))


def can_pin() -> bool:
    """Whether this system keeps a process on some cores: Linux does, macOS and Windows do not."""
    return hasattr(os, "sched_getaffinity") and hasattr(os, "sched_setaffinity")


def pin(chosen: Collection[int]) -> None:
    """Keep this thread on these cores, where that can be; empty: wherever it is."""
    if chosen and can_pin():
        os.sched_setaffinity(0, chosen)


@contextmanager
def kept_on(chosen: Collection[int]) -> Iterator[None]:
    """Keep this thread on these cores meanwhile; empty: wherever it is."""
    before = cores()
    pin(chosen)
    try:
        yield
    finally:
        pin(before if chosen else ())


def cautions(chosen: Collection[int]) -> list[str]:
    """Say why models on these cores may not have them to themselves."""
    found = [] if can_pin() else ["cores are not pinned: this system moves processes as it likes"]
    quota, used = cpu_quota(), len(set(chosen))
    if quota is not None and quota < used:
        right = "while it is used up they stand still"
        found.append(
            f"this container's CPU quota is {quota:g} cores, models are on {used}: {right}"
        )
    return found
