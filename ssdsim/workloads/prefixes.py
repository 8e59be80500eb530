"""Prompts that begin like earlier ones, made up from how much of them does."""

from collections.abc import Sequence
from itertools import count, islice

from numpy.random import Generator

BLOCK = 512
"""Tokens of a block that has an id, as in Mooncake's traces."""

RECENT = 64
"""How many prompts before it one may go on from. No summary of a trace tells how old they are."""

Ids = tuple[int, ...]


def prefixes(tokens: Sequence[int], share: float, rng: Generator) -> list[Ids]:
    """Return the ids of every prompt's blocks, this share of which an earlier prompt began with.

    A prompt of n blocks begins with `share` · n of one of the prompts before it: so many on
    average, as one is drawn that is long enough, if there is any.

    Parameters
    ----------
    tokens
        Of each prompt, in order of arrival.
    share
        Of its blocks, 0 to 1.
    rng
        What is drawn from.

    """
    found: list[Ids] = []
    fresh = count()
    for length, (rest, which) in zip(tokens, rng.random((len(tokens), 2)).tolist(), strict=True):
        blocks = -(-length // BLOCK)
        wanted = int(share * blocks + rest)
        begun = _parent(found[-RECENT:], wanted, which)[:wanted]
        found.append((*begun, *islice(fresh, blocks - len(begun))))
    return found


def _parent(recent: Sequence[Ids], blocks: int, drawn: float) -> Ids:
    """Return one of the prompts that have so many blocks, or else the longest."""
    long = [one for one in recent if len(one) >= blocks]
    return long[int(drawn * len(long))] if long else max(recent, key=len, default=())
