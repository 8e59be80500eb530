"""Draws outcomes from a chance of rejection at each drafted position: used by `iid` and `hazard`.

A text is easy or hard at each round. That decides the chance of a rejection at each drafted
position and how surprising the bonus token is; a bonus token outside the draft's top few makes
the next round hard. Misses then come at hard places, whoever drafts and whatever was predicted.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from itertools import accumulate, count, pairwise

import numpy as np
from numpy.random import Generator, Philox

from ssdsim.outcomes import Speculation, Speculator, outlined
from ssdsim.sampling.noise import Noise
from ssdsim.sampling.streams import blocks
from ssdsim.trees.base import TokenTree, landing, parents_of

Curve = Callable[[int], float]
"""P(bonus outside the draft's top F), for F = 0, 1, ...; 1 at F = 0, never rising."""

MOST_RANKS = 1024
"""Ranks told apart; a bonus token beyond them has rank -1."""

EASY, HARD = 0, 1


@dataclass(frozen=True)
class Difficulty:
    """What an easy (or a hard) round is like.

    Attributes
    ----------
    reject
        P(rejected at position j | accepted before it), j = 0, 1, ...; the last value holds on.
    miss
        P(bonus outside the draft's top F).

    """

    reject: Sequence[float]
    miss: Curve

    def accepted_below(self, lookahead: int, first: int = 0) -> list[float]:
        """Return P(accepted <= k | the first `first` are) for k = first..K-1."""
        hazards = [self.reject[min(j, len(self.reject) - 1)] for j in range(first, lookahead)]
        alive = accumulate((1 - h for h in hazards), lambda a, b: a * b)
        return [1 - a for a in alive]

    @cached_property
    def rank_below(self) -> list[float]:
        """P(rank < F) for F = 1..MOST_RANKS."""
        return [1 - self.miss(F) for F in range(1, MOST_RANKS + 1)]


@dataclass
class PositionalSource:
    """Texts whose rounds are easy or hard.

    Attributes
    ----------
    easy, hard
        What such rounds are like.
    reference_fanout
        A bonus token of at least this rank makes the next round hard.
    rng
        Where every text's own stream comes from.
    found
        P(a round has a draft at all); those without would have been rejected at once.

    """

    easy: Difficulty
    hard: Difficulty
    reference_fanout: int
    rng: Generator
    vocabulary: None = None
    found: float = 1.0

    def __post_init__(self) -> None:
        self.key = int(self.rng.integers(2**63))
        self.accepted = lru_cache(maxsize=None)(self._accepted)
        self.chances = lru_cache(maxsize=None)(self._chances)

    @cached_property
    def ranks(self) -> list[list[float]]:
        """P(rank < F) for F = 1, 2, ..., at easy and at hard places."""
        return [state.rank_below for state in (self.easy, self.hard)]

    def text(self, seq: int) -> "PositionalText":
        """Return text `seq`; its draws depend on nothing but the source's key and `seq`."""
        return PositionalText(self, Generator(Philox(key=[self.key, seq])), Noise(self.key, seq))

    def prompt(self, seq: int) -> tuple[str, str]:
        """Name the prompt after the sequence."""
        return str(seq), "synthetic"

    def prompt_tokens(self, seq: int) -> None:
        """Leave it to the workload."""

    def length(self, seq: int) -> None:
        """Set no limit."""

    def _accepted(self, state: int, lookahead: int, first: int = 0) -> list[float]:
        return (self.easy, self.hard)[state].accepted_below(lookahead, first)

    def _chances(self, state: int, depth: int) -> list[float]:
        """Return the chances that the draft's best candidates, 64 of them, are right at a depth."""
        difficulty = (self.easy, self.hard)[state]
        accepted = difficulty.accepted_below(depth + 1, depth)[0]
        outside = [difficulty.miss(F) for F in range(64)]
        return [1 - accepted, *(accepted * (more - less) for more, less in pairwise(outside))]


class PositionalText:
    """One text: its difficulty and its own random draws."""

    history: tuple[int, ...] = ()

    def __init__(self, source: PositionalSource, rng: Generator, noise: Noise) -> None:
        self.source = source
        self.noise = noise
        draws = blocks(rng.random)
        self.draws = zip(draws, draws, strict=True)
        self.state = EASY
        self.drawn: tuple[float, int] | None = None
        self.rounds = self.done = 0

    def speculate(self, length: int, speculator: Speculator) -> Speculation:
        """Draw how many of `length` tokens are accepted, and the rank of the bonus token."""
        luck, rank = self.drawn or self._round()
        if luck < 1 - self.source.found:
            return outlined(0, "none", 0, rank)
        accepted = bisect_right(self.source.accepted(self.state, length), luck)
        return outlined(length, speculator, accepted, rank)

    def ahead(self, length: int) -> Speculation:
        """Return the chain in flight from its place `done` on: one draw decides where it breaks."""
        luck, rank = self._round()
        whole = self.done + length + 1
        # Tables of rounded lengths: few of them serve all.
        below = self.source.accepted(self.state, 1 << whole.bit_length())
        right = bisect_right(below, luck, 0, whole) - self.done
        if right > length:
            return outlined(length, _drafter(length), length, 0, continued=True)
        listed = right == length and rank >= 0  # the draft's own next token is a candidate there
        return outlined(length, _drafter(length), right, rank + listed)

    def grow(self, tree: TokenTree, depth: int, speculator: Speculator) -> Speculation:
        """Draw the rank of the text's own token at every level, and see where they lead.

        The j-th token is the draft's best with the chance that a chain's j-th is accepted, else
        outside the w best with the miss curve's at w - 1: a node of w children holds it with
        probability 1 - reject[j]·miss(w - 1). Of a token's confidence the draft knows no more than
        that: a tree that grows by it is the best fixed one (Sequoia; Chen et al. 2024).
        """
        paths = tree.grow(depth, lambda path: self.source.chances(self.state, len(path)))
        truth = landing(paths, self._ranks(depth))
        return Speculation(parents_of(paths), speculator, truth=truth)

    def propose(self, tokens: Sequence[int], length: int) -> Speculation:  # noqa: ARG002 - no ids
        """Accept nothing: a proposal from elsewhere is a guess."""
        _, rank = self._round()
        return outlined(length, "backup", 0, rank)

    def guess(self, length: int, seen: int) -> Speculation:
        """Take a guess after a partly wrong prefix to be right as often as a draft's token is."""
        luck, rank = self._round()
        right = bisect_right(self.source.accepted(self.state, length), luck)
        return outlined(length, "none", min(right, seen), rank)

    def commit(self, speculation: Speculation, delivered: int) -> tuple[int, ...]:  # noqa: ARG002
        """Move on: a surprising bonus token makes the next round hard."""
        assert speculation.truth is not None
        if speculation.continued:
            self.done += speculation.length + 1
            return ()
        _, rank = self.drawn or self._round()
        easy = 0 <= rank < self.source.reference_fanout
        self.state = EASY if easy else HARD
        self.drawn, self.done = None, 0
        self.rounds += 1
        return ()

    def _round(self) -> tuple[float, int]:
        """Return what decides this round, however often and for whatever length it is asked.

        That is how far its tokens are right, in [0, 1), and the rank of its bonus token.
        """
        if self.drawn is None:
            luck, surprise = next(self.draws)
            rank = bisect_right(self.source.ranks[self.state], surprise)
            self.drawn = luck, rank if rank < MOST_RANKS else -1
        return self.drawn

    def _ranked(self, luck: float) -> int:
        rank = bisect_right(self.source.ranks[self.state], luck)
        return rank if rank < MOST_RANKS else -1

    def _ranks(self, depth: int) -> list[int]:
        """Return the rank of the text's own token at each of the next `depth` + 1 places.

        As a chain would, up to the first that is not the draft's best; a new one behind each.
        """
        ranks: list[int] = []
        for run in count():
            luck, bonus = self._luck(run)
            ranks += [0] * bisect_right(self.source.accepted(self.state, depth, len(ranks)), luck)
            if len(ranks) == depth:
                return [*ranks, bonus]
            ranks.append(bonus + 1 if bonus >= 0 else -1)
        raise AssertionError

    def _luck(self, run: int) -> tuple[float, int]:
        """Return what decides the chain of this round, or the `run`-th one that follows it."""
        if run == 0:
            return self._round()
        noise = self.noise
        return (
            noise.uniform(self.rounds, "accept", run),
            self._ranked(noise.uniform(self.rounds, "residual", run)),
        )


def _drafter(length: int) -> Speculator:
    return "primary" if length else "none"


def power_curve(scale: float, exponent: float) -> Curve:
    """Return min(1, A·F^-r)."""
    return lambda F: 1.0 if F == 0 else min(1.0, scale * F**-exponent)


def measured_curve(fanouts: Sequence[int], misses: Sequence[float]) -> Curve:
    """Interpolate a measured miss curve, straight in log F and log P.

    Under its first fan-out the first segment goes on (no curve here was measured at F = 1), and
    beyond its last one the last value holds. What was looked up once is kept.
    """
    return _measured_curve(tuple(fanouts), tuple(misses))


@lru_cache
def _measured_curve(fanouts: tuple[int, ...], misses: tuple[float, ...]) -> Curve:
    x, y = np.log(fanouts), np.log(misses)
    slope = (y[1] - y[0]) / (x[1] - x[0])

    @cache
    def miss(F: int) -> float:
        if F == 0:
            return 1.0
        below = slope * min(0.0, np.log(F) - x[0])
        return min(1.0, float(np.exp(np.interp(np.log(F), x, y) + below)))

    return miss
