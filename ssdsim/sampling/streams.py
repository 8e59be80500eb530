"""Random streams: one for each cause, so that changing one cause leaves the others' draws alone."""

from collections.abc import Callable, Iterator
from zlib import crc32

import numpy as np
from numpy.random import Generator, Philox, SeedSequence


def stream(seed: int, cause: str) -> Generator:
    """Return the generator of `cause` under `seed`."""
    return Generator(Philox(SeedSequence([seed, crc32(cause.encode())])))


def blocks(draw: Callable[[int], np.ndarray], size: int = 256) -> Iterator[float]:
    """Yield single numbers from `draw(size)`; a block at a time is far quicker than one by one."""
    while True:
        yield from draw(size).tolist()
