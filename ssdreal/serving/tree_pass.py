"""Computes the newest tokens of branches and trees, which are not part of the text, in one pass."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ssdreal.serving.reader import Reader
from ssdreal.serving.sampling import Logits


@dataclass(eq=False)
class PendingToken:
    """A drafted token that is not part of the text.

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
    """A branch or a tree whose newest tokens are to be computed."""

    def pending_tokens(self) -> Iterator[PendingToken]:
        """Yield the tokens that the next pass continues."""
        ...

    def rooted(self, pending_tokens: Iterator[PendingToken]) -> None:
        """Take them back, computed."""
        ...


def compute_tips(reader: Reader, continued: Sequence[Continued], free: dict[int, int]) -> Logits:
    """Compute the newest tokens of all these in one pass; see `look`."""
    pending_tokens = [pending for one in continued for pending in one.pending_tokens()]
    logits = look(reader, pending_tokens, free)
    computed = iter(pending_tokens)
    for one in continued:
        one.rooted(computed)
    return logits


def look(reader: Reader, pending_tokens: Sequence[PendingToken], free: dict[int, int]) -> Logits:
    """Compute pending tokens in one pass, each in a cache entry of its own.

    Parameters
    ----------
    reader
        Holds the texts.
    pending_tokens
        Each learns its entry.
    free
        For every slot the first entry that is free; moved on.

    Returns
    -------
    array
        The logits after each, (pending tokens, head rows).

    """
    columns = [0] * len(reader.texts)
    places = []
    for pending in pending_tokens:
        places.append((pending.slot, columns[pending.slot]))
        columns[pending.slot] += 1
        pending.behind = (*pending.behind, free[pending.slot])
        free[pending.slot] += 1
    # The junk of slots with fewer pending tokens than others goes behind all that any slot holds.
    extent = 1 + max(*free.values(), *map(len, reader.texts))
    shape = (len(columns), max(columns))
    tokens, positions = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    at = np.full(shape, extent - 1)
    sees = np.zeros((*shape, extent), np.bool_)
    for place, pending in zip(places, pending_tokens, strict=True):
        tokens[place], positions[place], at[place] = (
            pending.token,
            pending.position,
            pending.behind[-1],
        )
        sees[place][: pending.prefix] = True
        sees[place][list(pending.behind)] = True
    found = reader.look(tokens, positions, at, sees)
    slots, where = zip(*places, strict=True)
    return found[list(slots), list(where)]
