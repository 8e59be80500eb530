"""Speculations of real tokens, and rows as the workers see them."""

from collections.abc import Sequence
from dataclasses import dataclass

from simpy import Event

from ssdreal.channel.messages import Chain, Line
from ssdreal.channel.pages import Place
from ssdsim.outcomes import Speculation, Speculator, chain
from ssdsim.protocol import Row


@dataclass(frozen=True, slots=True)
class Drafted(Speculation):
    """A speculation of real tokens.

    Attributes
    ----------
    place
        Where the probabilities it was sampled from lie; None where the drafter was sure.
    ids
        Token ids of the candidates after every node; empty until a fork finds them.

    """

    place: Place | None = None
    ids: tuple[tuple[int, ...], ...] = ()


@dataclass(eq=False, slots=True)
class Text:
    """The workers' own view of a row.

    Attributes
    ----------
    slot
        Its place in the workers' caches.
    fork
        The search for candidates that is under way or was the last; None before the first.
    ids
        The candidates after every node of the block in flight, as far as they are known.
    outcome
        How the last verify ended: last accepted node and bonus token id.

    """

    slot: int
    fork: Event | None = None
    ids: tuple[tuple[int, ...], ...] = ()
    outcome: tuple[int, int] = (0, 0)


def drafted_from(found: Chain, speculator: Speculator) -> Drafted:
    """Return a chain that the draft's worker drafted as a speculation."""
    return Drafted(
        chain(len(found.tokens)), speculator, found.tokens, found.confidences, place=found.place
    )


def lines_of(rows: Sequence[Row]) -> tuple[Line, ...]:
    """Return the rows as the workers see them."""
    return tuple(Line(row.seq, row.round, row.text.slot, tuple(row.tokens)) for row in rows)
