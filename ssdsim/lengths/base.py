"""The interface of length controls: how many tokens to draft, and when to stop before that.

A chain must not be stopped because of a token that is then dropped: that would be biased
(docs/sampling.md, "Traps"). So a rule looks at what has been drafted, and the token that ends a
chain is its last one, verified like the others.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

from ssdsim.outcomes import Outcome, Speculation
from ssdsim.trees.base import TokenTree

Signal = Literal["confidences", "chances"]
"""What of a `Speculation` tells how likely each of its tokens is to be accepted."""

BINS = 16
"""Confidences are told apart by which of so many equal parts of [0, 1] they lie in."""


@dataclass(frozen=True, slots=True)
class Stopping:
    """When a chain ends: plain data, since a draft's worker carries it out.

    Attributes
    ----------
    limit
        Most tokens.
    least
        Tokens drafted whatever is known of them.
    floor
        A token whose signal is under this is the last one.
    reach
        A chain ends once the chance that all of it is accepted is under this.
    estimates
        That chance of one token, by bins of its signal, shape (bins,); empty: the signal itself.
    informed, mean
        Weight of that estimate; what is left of 1 is put on `mean`, whatever the token.
    signal
        Which signal.

    """

    limit: int
    least: int = 1
    floor: float = 0.0
    reach: float = 0.0
    estimates: tuple[float, ...] = ()
    informed: float = 1.0
    mean: float = 0.0
    signal: Signal = "confidences"

    @property
    def early(self) -> bool:
        """Whether a chain may end before the limit."""
        return self.floor > 0 or self.reach > 0

    def length(self, signals: Sequence[float]) -> int:
        """Return how many of these tokens are drafted."""
        chance = 1.0
        for drafted, signal in enumerate(signals, 1):
            chance *= self._estimate(signal)
            if drafted >= self.least and (signal < self.floor or chance < self.reach):
                return drafted
        return len(signals)

    def ends(self, signals: Sequence[float]) -> bool:
        """Return whether a chain that has come so far is ended by its last token, or the limit.

        Asked after every token, this gives chains of `length` tokens.
        """
        if len(signals) >= self.limit:
            return True
        sure = [*signals, 1.0]  # with one more token that ends nothing itself
        return self.early and self.length(sure) < len(sure)

    def cut(self, speculation: Speculation) -> int:
        """Return how many tokens of a chain, drafted to its limit, are drafted by this rule."""
        unknown = (0.0,) * speculation.length
        return self.length(getattr(speculation, self.signal) or unknown)

    def _estimate(self, signal: float) -> float:
        own = self.estimates[bin_of(signal)] if self.estimates else signal
        return self.informed * own + (1 - self.informed) * self.mean


def bin_of(signal: float) -> int:
    """Return which part of [0, 1] a confidence lies in, 0..BINS-1."""
    return min(int(BINS * signal), BINS - 1)


@lru_cache
def _whole(limit: int) -> Stopping:
    """Return the rule of chains that are drafted to their limit."""
    return Stopping(limit)


@dataclass
class Control:
    """A length control at work in one run; this one drafts K tokens, whatever happens.

    `nodes` is how many a token tree may have this round, 1 or more; None: all that it wants.
    """

    lookahead: int
    nodes: int | None = field(default=None, init=False)

    def limit(self, rows: int, seconds: Callable[[int], float]) -> int:  # noqa: ARG002
        """Return the most tokens to draft this round, 0 (no speculation) to K.

        Parameters
        ----------
        rows
            Live sequences.
        seconds
            What a round that drafts so many tokens a row is expected to take.

        """
        return self.lookahead

    def within(self, tree: TokenTree) -> TokenTree:
        """Return what is drafted this round of such a tree; `limit` says how deep.

        Raises
        ------
        ConfigError
            The tree does not know which of its nodes are the best.

        """
        return tree if self.nodes is None else tree.at_most(self.nodes)

    def stopping(self, limit: int) -> Stopping:
        """Return the rule for the chains begun now."""
        return _whole(limit)

    def observe(self, speculation: Speculation, outcome: Outcome) -> None:
        """See how a verify ended."""


@dataclass(frozen=True)
class Length:
    """The configuration of a length control: one file each in this folder.

    `lookahead` K is the cap of every one of them.
    """

    @property
    def needs(self) -> Signal | None:
        """What a source must know of the tokens that its draft makes."""
        return None

    def start(self, lookahead: int) -> Control:
        """Return a fresh controller for one run."""
        raise NotImplementedError


@dataclass
class Frequency:
    """How often drafted tokens were accepted, starting from a guess that counts for `prior`."""

    guess: float
    prior: float
    accepted: int = field(default=0, init=False)
    tested: int = field(default=0, init=False)

    def see(self, accepted: int, tested: int = 1) -> None:
        """Count some more."""
        self.accepted += accepted
        self.tested += tested

    @property
    def mean(self) -> float:
        """The chance of the next one."""
        return (self.guess * self.prior + self.accepted) / (self.prior + self.tested)


def tested(speculation: Speculation, outcome: Outcome) -> int:
    """Return how many drafted tokens a verify decided on: those after a rejection it did not."""
    return min(outcome.node + 1, speculation.length)
