"""Where draft and target run: on which devices, and on which cores of the host."""

import os
from collections.abc import Callable, Collection, Iterator, Sequence
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
    others
        Where a sharded model's other ranks run; it is the first rank that a run talks to.

    """

    device: str
    cores: tuple[int, ...]
    others: tuple["Place", ...] = ()

    @property
    def ranks(self) -> tuple["Place", ...]:
        """Where each rank runs."""
        return replace(self, others=()), *self.others

    @property
    def name(self) -> str:
        """What spans call it."""
        kind, sign = ("core", " ") if self.device == "cpu" else ("cuda", ":")
        return kind + sign + "+".join(number for rank in self.ranks for number in rank.numbers)

    @property
    def numbers(self) -> list[str]:
        """Numbers of the first rank's devices."""
        return [*map(str, self.cores)] if self.device == "cpu" else [self.device.split(":")[1]]

    @property
    def count(self) -> int:
        """Devices in use: cores where the host computes, else GPUs."""
        return sum(len(rank.numbers) for rank in self.ranks)


@dataclass(frozen=True)
class Places:
    """Where the two models of a run are."""

    target: Place
    draft: Place

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


def sharded(ranks: Sequence[Place]) -> Place:
    """Return one place for all ranks of a model."""
    return replace(ranks[0], others=tuple(ranks[1:]))


Divides = Callable[[int], bool]
"""Whether the target can be sharded over so many devices."""


class Cpu:
    """A core each. Without a core for it the draft's process takes turns with the target's last.

    Parameters
    ----------
    tp
        Ranks of the target, a core each.
    divides
        Whether it could have one more.

    """

    def __init__(self, tp: int = 1, divides: Divides = lambda _: False) -> None:
        self.tp, self.divides = tp, divides
        self.cores = tuple(sorted(os.sched_getaffinity(0)))[: tp + 1]
        right = f"needs a core for each rank, there are {len(self.cores)}"
        require(tp <= len(self.cores), "pair.tp", tp, right)

    def places(self, draft_on: str | None) -> Places:
        """Return the first cores for the target, and the next for a draft of its own."""
        draft = self.cores[-1:] if draft_on == "own" else self.cores[:1]
        return Places(self._target(self.tp), Place("cpu", draft))

    def spread(self) -> Places | None:
        """Return all cores for both, as threads where the target is not sharded."""
        every = len(self.cores)
        if self.tp == 1:
            both = Place("cpu", self.cores)
            return Places(both, both) if every > 1 else None
        there = every == self.tp or self.divides(every)
        return Places(self._target(every), Place("cpu", self.cores[:1])) if there else None

    def _target(self, ranks: int) -> Place:
        return sharded([Place("cpu", (core,)) for core in self.cores[:ranks]])


class OneGpu:
    """Both models on the first GPU, in processes of their own."""

    def places(self, draft_on: str | None) -> Places:  # noqa: ARG002 - there is no choice
        """Return the first GPU for both."""
        return Places(_gpu(0), _gpu(0))

    def spread(self) -> Places | None:
        """Return the same: there is one device."""
        return self.places(None)


class TwoGpus:
    """A GPU each; one for every rank of a sharded target, and a further one for the draft.

    Parameters
    ----------
    tp
        Ranks of the target.
    divides
        Whether it could have one more.

    """

    def __init__(self, tp: int = 1, divides: Divides = lambda _: False) -> None:
        self.tp, self.divides = tp, divides

    def places(self, draft_on: str | None) -> Places:
        """Return the first GPUs for the target, and the next for a draft of its own."""
        return Places(self._target(self.tp), _gpu(self.tp if draft_on == "own" else 0))

    def spread(self) -> Places | None:
        """Return the target over all of the GPUs, if it can be sharded so."""
        every = self.tp + 1
        return Places(self._target(every), _gpu(0)) if self.divides(every) else None

    def _target(self, ranks: int) -> Place:
        return sharded([_gpu(number) for number in range(ranks)])


def _gpu(number: int) -> Place:
    cores = tuple(sorted(os.sched_getaffinity(0)))
    return Place(f"cuda:{number}", cores[number % len(cores) :][:1])


NEEDED: dict[str, Callable[[int], int]] = {
    "cpu": lambda _: 0,
    "one_gpu": lambda _: 1,
    "two_gpus": lambda tp: tp + 1,
}
"""GPUs, by the target's ranks."""


def topology(name: str, tp: int = 1, divides: Divides = lambda _: False) -> Topology:
    """Return a topology by name; `auto` takes the one with the most GPUs that this machine has.

    Parameters
    ----------
    name
        As on the command line.
    tp, divides
        Over how many devices the target is sharded, and whether it could be over others.

    Raises
    ------
    ConfigError
        There is no such topology, or this machine has too few GPUs for it.

    """
    gpus = _gpus()
    if name == "auto":
        name = max((n for n in NEEDED if NEEDED[n](tp) <= gpus), key=lambda n: NEEDED[n](tp))
    if name not in NEEDED:
        known = ", ".join(["auto", *NEEDED])
        raise ConfigError(f"topology={name!r}: no such topology; choose among {known}")
    needed = NEEDED[name](tp)
    right = f"needs {needed} GPU, there are {gpus}"
    require(needed <= gpus, "topology", name, right if tp == 1 else f"with pair.tp={tp} {right}")
    if name == "one_gpu":
        right = f"needs topology=two_gpus and {tp + 1} GPU, there are {gpus}"
        require(tp == 1, "pair.tp", tp, right)
        return OneGpu()
    return Cpu(tp, divides) if name == "cpu" else TwoGpus(tp, divides)


def _gpus() -> int:
    """Count the GPUs, without loading torch into this process."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([part for part in visible.split(",") if part.strip() not in {"", "-1"}])
    return len(list(Path("/proc/driver/nvidia/gpus").glob("*")))
