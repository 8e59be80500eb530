"""Tokens behind what a reader holds, computed in one pass: the tips of branches and trees."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ssdreal.serving.reader import Reader
from ssdreal.serving.sampling import Logits


@dataclass(eq=False)
class Twig:
    """A token that is part of no text yet.

    Attributes
    ----------
    slot, prefix
        Whose text it continues, and how many of the first entries it sees.
    token, position
        Its id, and its absolute position.
    behind
        What else it sees: the entries of the tokens between, its own last once it has one.

    """

    slot: int
    prefix: int
    token: int
    position: int
    behind: tuple[int, ...] = ()


class Continued(Protocol):
    """What some twigs are the tips of."""

    def twigs(self) -> Iterator[Twig]:
        """Yield the tokens that the next pass continues."""
        ...

    def rooted(self, twigs: Iterator[Twig]) -> None:
        """Take them back, computed."""
        ...


def look_on(reader: Reader, continued: Sequence[Continued], free: dict[int, int]) -> Logits:
    """Compute the tips of all these in one pass; see `look`."""
    twigs = [twig for one in continued for twig in one.twigs()]
    logits = look(reader, twigs, free)
    computed = iter(twigs)
    for one in continued:
        one.rooted(computed)
    return logits


def look(reader: Reader, twigs: Sequence[Twig], free: dict[int, int]) -> Logits:
    """Compute twigs in one pass, each in an entry of its own.

    Parameters
    ----------
    reader
        Holds the texts.
    twigs
        Each learns its entry.
    free
        For every slot the first entry that is free; moved on.

    Returns
    -------
    array
        The logits after each, (twigs, head rows).

    """
    columns = [0] * len(reader.texts)
    places = []
    for twig in twigs:
        places.append((twig.slot, columns[twig.slot]))
        columns[twig.slot] += 1
        twig.behind = (*twig.behind, free[twig.slot])
        free[twig.slot] += 1
    # The junk of slots with fewer twigs than others goes behind all that any slot holds.
    extent = 1 + max(*free.values(), *map(len, reader.texts))
    shape = (len(columns), max(columns))
    tokens, positions = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    at = np.full(shape, extent - 1)
    sees = np.zeros((*shape, extent), np.bool_)
    for place, twig in zip(places, twigs, strict=True):
        tokens[place], positions[place], at[place] = twig.token, twig.position, twig.behind[-1]
        sees[place][: twig.prefix] = True
        sees[place][list(twig.behind)] = True
    found = reader.look(tokens, positions, at, sees)
    slots, where = zip(*places, strict=True)
    return found[list(slots), list(where)]
