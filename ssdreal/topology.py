"""Where draft and target run: on which devices, and on which cores of the host."""

import os
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from ssdsim.errors import ConfigError, require


@dataclass(frozen=True)
class Place:
    """Where one model runs.

    Attributes
    ----------
    device
        As torch names it.
    cores
        Cores of the host that its process runs on, with a thread each.

    """

    device: str
    cores: tuple[int, ...]

    @property
    def name(self) -> str:
        """What spans call it."""
        cores = "+".join(map(str, self.cores))
        return f"core {cores}" if self.device == "cpu" else self.device

    @property
    def count(self) -> int:
        """Devices in use: cores where the host computes, else one."""
        return len(self.cores) if self.device == "cpu" else 1


@dataclass(frozen=True)
class Places:
    """Where the two models of a run are."""

    target: Place
    draft: Place

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


class OneGpu:
    """Both models on the first GPU, in processes of their own."""

    def places(self, draft_on: str | None) -> Places:  # noqa: ARG002 - there is no choice
        """Return the first GPU for both."""
        return Places(_gpu(0), _gpu(0))

    def spread(self) -> Places | None:
        """Return the same: there is one device."""
        return self.places(None)


class TwoGpus:
    """A GPU each."""

    def places(self, draft_on: str | None) -> Places:
        """Return the first GPU for the target, and the second for a draft of its own."""
        return Places(_gpu(0), _gpu(1 if draft_on == "own" else 0))

    def spread(self) -> Places | None:
        """Return nothing: a target over two GPUs is not known here."""
        return None


def _gpu(number: int) -> Place:
    cores = tuple(sorted(os.sched_getaffinity(0)))
    return Place(f"cuda:{number}", cores[number % len(cores) :][:1])


TOPOLOGIES: dict[str, Callable[[], Topology]] = {"cpu": Cpu, "one_gpu": OneGpu, "two_gpus": TwoGpus}
NEEDED = {"cpu": 0, "one_gpu": 1, "two_gpus": 2}


def topology(name: str) -> Topology:
    """Return a topology by name; `auto` takes the one with the most GPUs that this machine has.

    Raises
    ------
    ConfigError
        There is no such topology, or this machine has too few GPUs for it.

    """
    gpus = _gpus()
    if name == "auto":
        name = max((n for n in NEEDED if NEEDED[n] <= gpus), key=lambda n: NEEDED[n])
    if name not in TOPOLOGIES:
        known = ", ".join(["auto", *TOPOLOGIES])
        raise ConfigError(f"topology={name!r}: no such topology; choose among {known}")
    right = f"needs {NEEDED[name]} GPU, there are {gpus}"
    require(NEEDED[name] <= gpus, "topology", name, right)
    return TOPOLOGIES[name]()


def _gpus() -> int:
    """Count the GPUs, without loading torch into this process."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([part for part in visible.split(",") if part.strip() not in {"", "-1"}])
    return len(list(Path("/proc/driver/nvidia/gpus").glob("*")))
