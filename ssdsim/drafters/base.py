"""The interface of drafters, and what a lookup in the text says of outcomes that may come."""

from collections.abc import Iterable, Sequence
from typing import Protocol, runtime_checkable

from ssdsim.outcomes import Outcome


@runtime_checkable
class Drafter(Protocol):
    """The configuration of who drafts: a frozen dataclass, one file each in this folder.

    It is the draft model, or else a `Lookup`.
    """


@runtime_checkable
class Lookup(Drafter, Protocol):
    """A drafter that reads the text alone, on the host: it has no model and no device.

    What it proposes follows from the token ids, so it was sure of it (q = 1): a token is accepted
    with the target's own probability of it, at any temperature.

    Attributes
    ----------
    seconds
        What one lookup takes in a simulation.

    """

    seconds: float

    def look_up(self, tokens: Sequence[int], length: int) -> list[int]:
        """Return up to `length` tokens that may follow this text; none where nothing is found."""
        ...

    def followers(self, tokens: Sequence[int]) -> list[int]:
        """Return all that it finds for the next token, the likeliest first."""
        ...


def candidates(lookup: Lookup, text: Sequence[int], sent: int | None) -> tuple[int, ...]:
    """Return the candidates behind a text, the token that was sent there left out."""
    return tuple([token for token in lookup.followers(text) if token != sent])


def all_candidates(
    lookup: Lookup, text: Sequence[int], chain: Sequence[int]
) -> tuple[tuple[int, ...], ...]:
    """Return the candidates after every node of a chain that was sent behind a text."""
    following = enumerate((*chain, None))
    return tuple([candidates(lookup, [*text, *chain[:at]], sent) for at, sent in following])


def branches(
    lookup: Lookup,
    text: Sequence[int],
    chain: Sequence[int],
    outcomes: Iterable[tuple[int, int]],
    length: int,
) -> dict[tuple[int, int], list[int]]:
    """Look up to `length` tokens up behind each outcome, (last accepted node, bonus token id)."""
    return {
        (node, token): lookup.look_up([*text, *chain[:node], token], length)
        for node, token in outcomes
    }


def named(
    outcomes: Iterable[Outcome], ids: Sequence[Sequence[int]]
) -> dict[Outcome, tuple[int, int]]:
    """Return outcomes as (last accepted node, bonus token id), where there is such a candidate."""
    likely_first = sorted(outcomes, key=lambda outcome: (outcome.rank, outcome.node))
    return {
        outcome: (outcome.node, ids[outcome.node][outcome.rank])
        for outcome in likely_first
        if 0 <= outcome.rank < len(ids[outcome.node])
    }
