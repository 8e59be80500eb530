"""Speculations of real tokens, and rows as the workers see them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from simpy import Event

from ssdreal.channel.message_parts import Candidates, Chain, Line
from ssdreal.channel.probability_pages import Place
from ssdsim.decoding.protocol import Row
from ssdsim.outcomes import Early, Speculation, Speculator, chain
from ssdsim.run.tables import Span


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
    drafted
        Where the draft goes on without waiting: the whole text as it had it last.

    """

    slot: int
    fork: Event | None = None
    ids: tuple[tuple[int, ...], ...] = ()
    outcome: tuple[int, int] = (0, 0)
    drafted: tuple[int, ...] = ()


def drafted_from(found: Chain, speculator: Speculator) -> Drafted:
    """Return a chain or a tree that the draft's worker drafted as a speculation."""
    parents = found.parents or chain(len(found.tokens))
    return Drafted(parents, speculator, found.tokens, found.confidences, place=found.place)


def ahead_of(row: Row) -> tuple[int, ...]:
    """Return the tokens that the draft has past the committed ones."""
    start = len(row.tokens)
    drafted: tuple[int, ...] = row.text.drafted[start : start + len(row.ahead)]
    return drafted


def take_up(
    row: Row, ahead: list[Span], before: tuple[int, ...], tokens: tuple[int, ...], span: Span
) -> None:
    """Give a row what was drafted after the text `before`, unless that has parted with it."""
    text, committed = (*before, *tokens), tuple(row.tokens)
    if text[: len(committed)] != committed[: len(text)]:
        row.ahead = []  # what was committed meanwhile is something else
    elif ahead is row.ahead:
        row.text.drafted = text
        row.grow(ahead, span, len(before), len(tokens))


def rank_in(text: Text) -> int:
    """Return the rank of the bonus token among the candidates where the verify ended."""
    node, token = text.outcome
    known = text.ids[node] if node < len(text.ids) else ()
    return known.index(token) if token in known else -1


def said_of(text: Text, speculation: Speculation, view: Candidates) -> Speculation:
    """Return a speculation with what an early layer of the target takes for likely after it.

    What the draft does not list is listed behind its candidates from now on.
    """
    if not view.ids:
        return speculation
    views = [dict(zip(*of, strict=True)) for of in zip(view.ids, view.beliefs, strict=True)]
    listed = list(text.ids)

    def ranks(node: int, ids: Sequence[int]) -> range:
        known = listed[node]
        listed[node] = (*known, *ids)
        return range(len(known), len(listed[node]))

    early = Early.of(views, speculation.tokens, text.ids, ranks)
    text.ids = tuple(listed)
    return replace(speculation, early=early)


def lines_of(rows: Sequence[Row]) -> tuple[Line, ...]:
    """Return the rows as the workers see them."""
    return tuple(Line(row.seq, row.round, row.text.slot, tuple(row.tokens)) for row in rows)


def lines_ahead(rows: Sequence[Row]) -> tuple[Line, ...]:
    """Return them as a draft sees them that goes on past the committed tokens."""
    return tuple(
        Line(row.seq, row.round, row.text.slot, (*row.tokens, *ahead_of(row))) for row in rows
    )
