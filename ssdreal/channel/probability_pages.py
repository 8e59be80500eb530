"""Shared memory for the probabilities that drafted tokens were sampled from.

Rows of a vocabulary are large, so they never travel as messages: the draft writes them where the
target can read them, and a message says which place holds a chain's. The first page is for chains
that are drafted in series. Trees take turns on the others, twice as many as a round grows, since
the target still reads those of one round while the next one's are grown.

On Linux the memory has no name in any file system. So it is gone with the last process that uses
it, however that ends, and a small /dev/shm, as containers have, is no limit. Where the draft is on
a GPU they stay there (`ssdreal.channel.device_pages`).
"""

import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import mkstemp
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

CHAINS = 0
Rows = NDArray[np.float32]


class Place(NamedTuple):
    """Where the probabilities of a drafted chain lie in the shared pages: page, slot, branch."""

    page: int
    slot: int
    branch: int


@dataclass(frozen=True)
class Pages:
    """Shared memory as an array (pages, slots, branches, K, head rows) of float32.

    Attributes
    ----------
    path
        Where processes find the memory while it is there.
    device
        Whose memory it is, as torch names it; empty: the host's, outside torch.
    apart
        Whether draft and target are in processes of their own.
    handle
        How the target finds memory of a device; empty: who gets ready makes it.
    trees
        How many trees a round grows.

    """

    slots: int
    branches: int
    lookahead: int
    rows: int
    path: str = ""
    device: str = ""
    apart: bool = True
    handle: bytes = b""
    trees: int = 1

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        return 1 + 2 * self.trees, self.slots, self.branches, self.lookahead, self.rows

    @property
    def bytes(self) -> int:
        """The memory it takes."""
        return 4 * int(np.prod(self.shape))

    @contextmanager
    def made(self) -> Iterator["Pages"]:
        """Have the memory while the context lasts; the value says where it is.

        A device's memory is its worker's to make.
        """
        if self.device:
            yield self
            return
        with _nameless() if hasattr(os, "memfd_create") else _named() as (file, path):
            os.ftruncate(file, self.bytes)
            yield replace(self, path=path)


@contextmanager
def _nameless() -> Iterator[tuple[int, str]]:
    """Have a file without a name in memory, on Linux; the value is the file, and how to find it."""
    file = os.memfd_create("ssdreal")
    try:
        yield file, f"/proc/{os.getpid()}/fd/{file}"
    finally:
        os.close(file)


@contextmanager
def _named() -> Iterator[tuple[int, str]]:
    """Have a temporary file, elsewhere; Windows removes it only when no process has it open."""
    file, path = mkstemp(prefix="ssdreal-")
    try:
        yield file, path
    finally:
        os.close(file)
        with suppress(PermissionError):
            Path(path).unlink()


def page_of(tree: int, trees: int) -> int:
    """Return the page of a run's tree of this number, where a round grows so many."""
    return 1 + tree % (2 * trees)


class OpenPages:
    """The pages as one process sees them."""

    def __init__(self, pages: Pages) -> None:
        with Path(pages.path).open("r+b") as file:
            self.memory = mmap.mmap(file.fileno(), pages.bytes)
        self.array: Rows = np.ndarray(pages.shape, np.float32, self.memory)

    def write(self, place: Place, step: int, row: Rows) -> None:
        """Put down what the token of one step was sampled from, shape (head rows,)."""
        self.array[place.page, place.slot, place.branch, step] = row

    def read(self, place: Place, length: int) -> Rows:
        """Return the rows of a chain, shape (length, head rows); a view."""
        return self.array[place.page, place.slot, place.branch, :length]

    def close(self) -> None:
        """Let go of the memory; what was read must be forgotten first."""
        del self.array
        self.memory.close()
