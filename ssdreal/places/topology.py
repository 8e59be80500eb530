"""How draft and target share a machine: CPU cores, one GPU or two."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from ssdreal.places.places import (
    Partition,
    Place,
    Places,
    cores,
    sharded,
    spread_out,
    threads_of,
)
from ssdsim.errors import ConfigError, require
from ssdsim.system.processor import cpu_quota


class Topology(Protocol):
    """A way to share a machine between draft and target."""

    def places(self, draft_on: str | None) -> Places:
        """Return where the models run; `draft_on` says where the method wants its draft."""
        ...

    def spread(self) -> Places | None:
        """Return both models on every device there is, taking turns; None if that cannot be."""
        ...


@dataclass(frozen=True)
class Sharding:
    """Over how many devices a target is sharded.

    Attributes
    ----------
    ranks
        So many.
    divides
        Whether it could be over another number.

    """

    ranks: int = 1
    divides: Callable[[int], bool] = lambda _: False


class Cpu:
    """A core each. Without a core for it the draft's process takes turns with the target's last."""

    def __init__(self, sharding: Sharding = Sharding()) -> None:
        self.sharding, self.ranks = sharding, sharding.ranks
        self.cores = cores()[: self.ranks + 1]
        right = f"needs a core for each rank, there are {len(self.cores)}"
        require(self.ranks <= len(self.cores), "pair.tp", self.ranks, right)

    def places(self, draft_on: str | None) -> Places:
        """Return the first cores for the target, and the next for a draft of its own."""
        draft = self.cores[-1:] if draft_on == "own" else self.cores[:1]
        return Places(self._target(self.ranks), Place("cpu", draft))

    def spread(self) -> Places | None:
        """Return all cores for both, as threads where the target is not sharded."""
        every = len(self.cores)
        if self.ranks == 1:
            both = Place("cpu", self.cores)
            return Places(both, both) if every > 1 else None
        there = every == self.ranks or self.sharding.divides(every)
        return Places(self._target(every), Place("cpu", self.cores[:1])) if there else None

    def _target(self, ranks: int) -> Place:
        return sharded([Place("cpu", (core,)) for core in self.cores[:ranks]])


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
        return _driven(_gpu(0, 0, (target,)), _gpu(0, 1, (own,)), together=True)

    def spread(self) -> Places | None:
        """Return all of the GPU for both."""
        if self.split is None:
            return self._both(())
        return self._both(tuple(Partition(self.split, first) for first in (True, False)))

    @staticmethod
    def _both(partitions: tuple[Partition, ...]) -> Places:
        return _driven(_gpu(0, 0, partitions), _gpu(0, 1, partitions), together=True)


class OneGpuTwoProcesses:
    """Both models on the first GPU, in processes of their own."""

    def places(self, draft_on: str | None) -> Places:  # noqa: ARG002 - there is no choice
        """Return the first GPU for both."""
        return _driven(_gpu(0, 0), _gpu(0, 1))

    def spread(self) -> Places | None:
        """Return the same: there is one device."""
        return self.places(None)


class TwoGpus:
    """A GPU each; one for every rank of a sharded target, and a further one for the draft."""

    def __init__(self, sharding: Sharding = Sharding()) -> None:
        self.sharding, self.ranks = sharding, sharding.ranks

    def places(self, draft_on: str | None) -> Places:
        """Return the first GPUs for the target, and the next for a draft of its own."""
        if draft_on == "own":
            return _driven(_ranks(self.ranks), _gpu(self.ranks, self.ranks))
        return _driven(_ranks(self.ranks), _gpu(0, self.ranks), together=True)

    def spread(self) -> Places | None:
        """Return the target over all of the GPUs, if it can be sharded so."""
        every = self.ranks + 1
        if not self.sharding.divides(every):
            return None
        return _driven(_ranks(every), _gpu(0, every), together=True)


def _driven(target: Place, draft: Place, together: bool = False) -> Places:
    """Return where models on GPUs are, and the cores that their lanes leave to the run's process.

    A lane keeps its core busy while it waits for the device, and slows another thread of that down.
    """
    places, quota = Places(target, draft, together), cpu_quota()
    left = tuple(core for core in cores() if core not in places.cores)
    busy = {threads_of(core) for core in places.cores}
    quiet = tuple(core for core in left if threads_of(core) not in busy)
    enough = quota is None or quota > len(places.cores)
    return replace(places, own=(quiet or left) if enough else ())


def _ranks(number: int) -> Place:
    return sharded([_gpu(rank, rank) for rank in range(number)])


def _gpu(number: int, core: int, partitions: tuple[Partition, ...] = ()) -> Place:
    """Return a GPU that is driven from one core, if there are so many."""
    there = spread_out(cores())
    return Place(f"cuda:{number}", there[core % len(there) :][:1], partitions)


TOPOLOGIES: dict[str, Callable[[Sharding], Topology]] = {
    "cpu": Cpu,
    "one_gpu": lambda _: OneGpu(),
    "one_gpu_two_processes": lambda _: OneGpuTwoProcesses(),
    "two_gpus": TwoGpus,
}
NEEDED: dict[str, Callable[[int], int]] = {
    "cpu": lambda _: 0,
    "one_gpu": lambda _: 1,
    "one_gpu_two_processes": lambda _: 1,
    "two_gpus": lambda ranks: ranks + 1,
}
"""GPUs, by the ranks of the target."""


def topology(name: str, split: float | None = None, sharding: Sharding = Sharding()) -> Topology:
    """Return a topology by name.

    Parameters
    ----------
    name
        One of `TOPOLOGIES`; `auto` takes the first of those with the most GPUs that are there.
    split
        Share of one GPU's multiprocessors for the target; None: it is not split.
    sharding
        Of the target.

    Raises
    ------
    ConfigError
        There is no such topology, this machine has too few GPUs for it, or it has no use for a
        split or for a target that is sharded.

    """
    gpus, ranks = _gpus(), sharding.ranks
    needed = {one: count(ranks) for one, count in NEEDED.items()}
    if name == "auto":
        name = max((n for n in needed if needed[n] <= gpus), key=lambda n: needed[n])
    if name not in TOPOLOGIES:
        known = ", ".join(["auto", *TOPOLOGIES])
        raise ConfigError(f"topology={name!r}: no such topology; choose among {known}")
    right = f"needs {needed[name]} GPU, there are {gpus}"
    right = right if ranks == 1 else f"with pair.tp={ranks} {right}"
    require(needed[name] <= gpus, "topology", name, right)
    right = f"needs topology=two_gpus and {ranks + 1} GPU, there are {gpus}"
    require(ranks == 1 or name in {"cpu", "two_gpus"}, "pair.tp", ranks, right)
    return TOPOLOGIES[name](sharding) if split is None else _split(name, split)


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
    there = list(Path("/dev").glob("nvidia[0-9]*"))  # some containers have these alone
    return len(there or list(Path("/proc/driver/nvidia/gpus").glob("*")))
