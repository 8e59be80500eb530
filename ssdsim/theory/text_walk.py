"""Known texts as a Markov chain over the places where rounds begin.

Each place of a text is decided in one round alone: so a round's end depends on where it began and
on what it verifies, and on nothing before. In the arrays T is texts, P places, and W the numbers
of accepted tokens, 0..K.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ssdsim.theory.census import Expectation, over
from ssdsim.theory.markov import Array
from ssdsim.theory.round_seconds import Whole


@dataclass(frozen=True, eq=False)
class Texts:
    """Texts that are known beforehand, each decoded from its first place on.

    They are told from others by identity, so that what follows from them can be remembered.

    Attributes
    ----------
    reject
        P(the draft's token is rejected), shape (T, P).
    rank
        The rank of the text's own token among the draft's candidates, -1 if it is none: (T, P).
    outranked
        P(the draft's token ranks before the text's | it is rejected), shape (T, P).
    tokens
        How many tokens of each text are decoded, 1..P: shape (T,).
    copies
        How often each text is decoded, shape (T,).

    """

    reject: Array
    rank: Whole
    outranked: Array
    tokens: Whole
    copies: Whole

    @property
    def left(self) -> Whole:
        """Tokens still to come at every place, shape (T, P)."""
        left: Whole = self.tokens[:, None] - np.arange(self.rank.shape[1])
        return left


@dataclass(frozen=True)
class Rounds:
    """Rounds that verify one kind of speculation, by the place where they begin.

    Attributes
    ----------
    shares
        P(k are accepted), shape (T, P, W).
    hits
        P(the next speculation is there | k are accepted), shape (T, P, W).
    verified
        Seconds until its tokens are there, shape (T, P).
    after_miss, after_hit
        Seconds from then until the next round may begin; none begins after a text's last.
    follower
        Which kind a hit is followed by, shape (T, P). A miss is followed by the first kind.

    """

    shares: Array
    hits: Array
    verified: Array
    after_miss: Array
    after_hit: Array
    follower: Whole


class Walked(NamedTuple):
    """Sums over the rounds of all texts, the rounds that begin a text counted apart.

    `hits` counts the rounds that verify one, `hits_found` those that end in one.
    """

    seconds: float
    tokens: float
    rounds: float
    hits: float
    hits_found: float
    tokens_on_hit: float
    firsts: float
    tokens_on_first: float

    def expectation(self, seconds: float | None = None, rows: int = 1) -> Expectation:
        """Return the long-run values; what begins a text is neither hit nor miss.

        Parameters
        ----------
        seconds
            The mean of a round; by default that of one row.
        rows
            Of the batch.

        """
        seconds = self.seconds / self.rounds if seconds is None else seconds
        missed = self.rounds - self.firsts - self.hits
        tokens_on_miss = self.tokens - self.tokens_on_hit - self.tokens_on_first
        return Expectation(
            tokens_per_s=rows * self.tokens / (self.rounds * seconds),
            acceptance_length=self.tokens / self.rounds,
            hit_rate=over(self.hits, self.hits + missed, otherwise=0.0),
            seconds_per_round=seconds,
            acceptance_length_on_hit=over(self.tokens_on_hit, self.hits),
            acceptance_length_on_miss=over(tokens_on_miss, missed),
        )


def walk(texts: Texts, kinds: Sequence[Rounds]) -> Walked:
    """Add up the rounds of all texts, where each begins with a round of the first kind."""
    width, more = kinds[0].shares.shape[2], np.arange(1, kinds[0].shares.shape[2] + 1)
    goes_on = more < texts.left[..., None]
    hit = np.stack([kind.shares * kind.hits * goes_on for kind in kinds])
    miss = np.stack([kind.shares * goes_on for kind in kinds]) - hit
    visits = _visits(texts.copies, hit, miss, np.stack([kind.follower for kind in kinds]))
    found, lost = hit.sum(axis=3), miss.sum(axis=3)
    delivered = np.stack([_delivered(kind, texts, width) for kind in kinds])
    seconds = np.stack([kind.verified for kind in kinds])
    seconds += found * np.stack([kind.after_hit for kind in kinds])
    seconds += lost * np.stack([kind.after_miss for kind in kinds])
    firsts = float(texts.copies.sum())
    return Walked(
        seconds=float((visits * seconds).sum()),
        tokens=float(texts.copies @ texts.tokens),
        rounds=float(visits.sum()),
        hits=float(visits[1:].sum()),
        hits_found=float((visits * found).sum()),
        tokens_on_hit=float((visits[1:] * delivered[1:]).sum()),
        firsts=firsts,
        tokens_on_first=float(texts.copies @ delivered[0, :, 0]),
    )


def _delivered(kind: Rounds, texts: Texts, width: int) -> Array:
    """Return the mean tokens of a round: its text's last one may be cut short."""
    tokens = np.minimum(np.arange(1, width + 1), texts.left[..., None])
    delivered: Array = (kind.shares * tokens).sum(axis=2)
    return delivered


def _visits(copies: Whole, hit: Array, miss: Array, follower: Whole) -> Array:
    """Return the expected number of rounds of each kind that begin at each place.

    Shape (kinds, T, P), as `follower` and, but for the accepted tokens, `hit` and `miss`: the
    chances that a round ends so and that another of its text follows.
    """
    kinds, texts, places, width = hit.shape
    steps, misses = (np.ascontiguousarray(of.transpose(2, 0, 3, 1)) for of in (hit, miss))
    column = (follower * texts + np.arange(texts)[:, None]).transpose(2, 0, 1)
    alike = (follower == follower[:, :1, :1]).all(axis=(1, 2))
    starts = np.where(alike, follower[:, 0, 0] * texts, -1).tolist()
    whole = [slice(start, start + texts) if start >= 0 else None for start in starts]
    visits = np.zeros((places + width, kinds * texts))
    visits[0, :texts] = copies
    for place in range(places):
        now = visits[place].reshape(kinds, 1, texts)
        reached = visits[place + 1 : place + 1 + width]
        reached[:, :texts] += (now * misses[place]).sum(axis=0)
        for kind, own in enumerate(whole):  # a slice is several times as fast as its numbers
            reached[:, own or column[place, kind]] += now[kind] * steps[place, kind]
    return visits[:places].reshape(places, kinds, texts).transpose(1, 2, 0)
