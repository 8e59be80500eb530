"""The interface of engines whose settings are written."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import ClassVar, Protocol, runtime_checkable

from ssdsim.kinds import plugins_in


@dataclass(frozen=True)
class Answer:
    """The best lookaheads.

    Attributes
    ----------
    lookaheads
        K by live sequences, as (batch, K) in rising order; 0: not to speculate.
    batch, lookahead
        Sequences at a time that were asked for, and the best K of those.
    draft
        The draft's name, or path; a place for it where it is not known.

    """

    lookaheads: tuple[tuple[int, int], ...]
    batch: int
    lookahead: int
    draft: str

    @property
    def most(self) -> int:
        """The largest of all K."""
        return max(K for _, K in self.lookaheads)

    def ranges(self) -> Iterator[tuple[int, int, int]]:
        """Yield first and last batch, and the K for all of them, from one sequence on.

        Between two batches that were looked at the smaller one's counts; beyond the last and below
        the first, its own.
        """
        grouped = [(K, [b for b, _ in of]) for K, of in groupby(self.lookaheads, lambda e: e[1])]
        starts = [1, *(batches[0] for _, batches in grouped[1:])]
        last = self.lookaheads[-1][0]
        for (K, _), (start, following) in zip(grouped, pairwise([*starts, last + 1]), strict=True):
            yield start, following - 1, K


@dataclass(frozen=True)
class Forced:
    """Acceptances that an engine is to force.

    Attributes
    ----------
    rates
        P(at least j drafts accepted), j = 1..K: never rising.
    draft
        As in `Answer`.

    """

    rates: tuple[float, ...]
    draft: str

    @property
    def lookahead(self) -> int:
        """K."""
        return len(self.rates)

    @property
    def tokens(self) -> float:
        """Tokens a round, bonus included."""
        return 1 + sum(self.rates)


@runtime_checkable
class Engine(Protocol):
    """An engine: a dataclass without fields, one file each in this folder."""

    title: ClassVar[str]

    def settings(self, answer: Answer) -> str:
        """Return the settings, as they are pasted."""
        ...

    def forced(self, acceptance: Forced) -> str:
        """Return the settings that force acceptances."""
        ...


def engines() -> dict[str, type[Engine]]:
    """Return the engines by name."""
    return dict(plugins_in("ssdsim.export.engines"))


def listed(rates: Sequence[float]) -> str:
    """Return rates with the digits that an engine's option needs."""
    return ",".join(f"{rate:.4f}" for rate in rates)
