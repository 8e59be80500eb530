"""Random streams: one for each cause, so that changing one cause leaves the others' draws alone."""

from collections.abc import Callable, Iterator
from itertools import chain, repeat
from zlib import crc32

import numpy as np
from numpy.random import Generator, Philox, SeedSequence


def stream(seed: int, cause: str) -> Generator:
    """Return the generator of `cause` under `seed`."""
    return Generator(Philox(SeedSequence([seed, crc32(cause.encode())])))


def blocks(draw: Callable[[int], np.ndarray], size: int = 256) -> Iterator[float]:
    """Return single numbers from `draw(size)`; a block at a time is far quicker than one by one."""
    return chain.from_iterable(draw(size).tolist() for _ in repeat(None))
