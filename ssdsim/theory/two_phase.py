"""Exact expectations of SSD that prepares outcomes in two phases, where times are constant.

A row is a Markov chain over its place and the speculation that it verifies: of the first phase, of
the second, or the backup's, each of its own length. Rows of a batch share the clock alone, as long
as no row's luck decides how deep the phases come; else they are refused.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from ssdsim.errors import ConfigError
from ssdsim.theory.census import Expectation, over
from ssdsim.theory.lockstep import Law, RowState, accepted, mean_tokens, tail_after
from ssdsim.theory.markov import Array, count, stationary
from ssdsim.theory.phase_seconds import Course, Depths, Load, PhaseTimes, course

Fanouts = Callable[[int], Sequence[int]]
Follow = Callable[[Mapping[int, int]], Course]
IGNORED = 1e-12
"""Chance of a batch that is not worth its seconds."""
UNLIKE = "its phases come to other depths by the luck of its rows, which no expectation covers"


@dataclass(frozen=True)
class Second:
    """What the second phase prepares for a row.

    Attributes
    ----------
    fanouts
        F_0..F_n for a speculation of n tokens: what the first phase has of them is left out.
    named
        Further outcomes: the real one, where it is known, and others in vain.
    share
        Of the rounds in which the real outcome is known.
    ranks
        The real outcome is known of bonus tokens ranked below this alone.

    """

    fanouts: Fanouts
    named: int = 0
    share: float = 0.0
    ranks: int = 0


class _Kind(NamedTuple):
    """What a row verifies: so many tokens, found in the cache or the backup's."""

    length: int
    hit: bool


class _Ends(NamedTuple):
    """How a row's round ends.

    Attributes
    ----------
    chances
        P(next place is hard, prepared for by nobody, first, or second), shape (2, 3).
    known
        P(the second phase knows what the first has).

    """

    chances: Array
    known: float


@dataclass(frozen=True)
class Design:
    """A configuration of two phases.

    Attributes
    ----------
    law, times
        How rounds end, and time.
    depths
        Of both phases.
    first, second
        What they prepare: F_0..F_n for a speculation of n tokens in the first.
    backup
        Tokens that the backup drafts.
    batch
        Rows in lock-step.

    """

    law: Law
    times: PhaseTimes
    depths: Depths
    first: Fanouts
    second: Second
    backup: int
    batch: int = 1
    known: dict[Load, Course] = field(default_factory=dict, compare=False)

    def course(self, lengths: Mapping[int, int], known: int = 0) -> Course:
        """Return how a round goes of so many rows by the lengths that they verify.

        `known` rows have an outcome in the first phase that the second names again.
        """
        load = self._load(lengths, known)
        if load not in self.known:
            self.known[load] = course(self.times, load, self.depths)
        return self.known[load]

    def _load(self, lengths: Mapping[int, int], known: int) -> Load:
        drafted = sum(length * rows for length, rows in lengths.items())
        branches = more = every = 0
        for length, rows in lengths.items():
            first, second = self.first(length), self.second.fanouts(length)
            both = sum(map(max, first, second))
            branches += rows * sum(first)
            more += rows * (both - sum(first) + self.second.named)
            every += rows * (sum(second) + self.second.named)
        return Load(self.batch, drafted, branches, more - known, every)

    def ends(self, row: RowState, to: Course) -> _Ends:
        """Return how a row's round ends, in a round of that course."""
        none = (0,) * (row.length + 1)
        first = self.first(row.length) if to.first else none
        second = self.second.fanouts(row.length) if to.second else none
        chances, known = np.zeros((2, 3)), 0.0
        for k, end in enumerate(accepted(self.law, row).tolist()):
            tail = tail_after(self.law, row, k)
            chances += end * self._by_rank(tail, first[k], second[k], told=to.second > 0)
            known += end * self.second.share * (1 - tail(first[k]))
        return _Ends(chances, known)

    def _by_rank(
        self, tail: Callable[[int], float], first: int, second: int, *, told: bool
    ) -> Array:
        """Return P(next place is hard, nobody's, first's or second's), shape (2, 3)."""
        both = max(first, second)
        bounds = first, both, max(both, self.second.ranks)
        share = self.second.share if told else 0.0

        def below(most: float, total: float) -> Array:
            one, either, knowable = (1 - tail(int(min(F, most))) for F in bounds)
            prepared = np.array([one, either - one + share * (knowable - either)])
            return np.append(total - prepared.sum(), prepared)

        R = self.law.reference_fanout
        easy = below(R, 1 - tail(R))
        return np.stack([easy, below(math.inf, 1.0) - easy])


def expect_two_phase(design: Design) -> Expectation:
    """Return the long-run values: stationary mean tokens over stationary mean seconds.

    Raises
    ------
    ConfigError
        In a batch, how deep the phases come depends on the luck of its rows.

    """
    follow = design.course if design.batch == 1 else _alike(design)

    def step(row: RowState) -> Mapping[RowState, float]:
        to = follow({row.length: design.batch})
        lengths, found = (design.backup, to.first, to.second), dict[RowState, float]()
        for (hard, phase), chance in np.ndenumerate(design.ends(row, to).chances):
            state = RowState(hard, lengths[phase], phase > 0)
            found[state] = found.get(state, 0.0) + float(chance)
        return found

    rows = stationary(RowState(0, design.backup, hit=False), step)
    tokens, hits = [0.0, 0.0], 0.0
    for row, share in rows.items():
        tokens[row.hit] += share * mean_tokens(design.law, row)
        hits += share * row.hit
    seconds = _seconds(design, rows, follow)
    return Expectation(
        tokens_per_s=design.batch * sum(tokens) / seconds,
        acceptance_length=sum(tokens),
        hit_rate=hits,
        seconds_per_round=seconds,
        acceptance_length_on_hit=over(tokens[1], hits),
        acceptance_length_on_miss=over(tokens[0], 1 - hits),
    )


def _alike(design: Design) -> Follow:
    """Return the course that a batch of any rows takes; `_seconds` sees whether it does."""
    usual = design.course({design.backup: design.batch})
    usual = design.course({usual.first or design.backup: design.batch})
    return lambda _: usual


def _seconds(design: Design, rows: Mapping[RowState, float], follow: Follow) -> float:
    """Return the mean seconds of a round, over how many rows verify what."""
    kinds = _kinds(design, rows, follow)
    known = {kind: told / share for kind, (share, told) in kinds.items()}
    parts = [design.times.handshake]
    for counts, chance in _splits(design.batch, [share for share, _ in kinds.values()]):
        batch = dict(zip(kinds, counts, strict=True))
        missed = sum(each for kind, each in batch.items() if not kind.hit)
        parts.append(chance * design.times.backup(missed))
        told = count([(n, np.array([1 - known[kind], known[kind]])) for kind, n in batch.items()])
        parts += [
            chance * share * _course_seconds(design, batch, again, follow)
            for again, share in enumerate(told.tolist())
            if chance * share > IGNORED
        ]
    return math.fsum(parts)


def _kinds(
    design: Design, rows: Mapping[RowState, float], follow: Follow
) -> dict[_Kind, tuple[float, float]]:
    """Return how often rows verify what, and how often the second phase names an outcome again."""
    found: dict[_Kind, tuple[float, float]] = {}
    for row, share in rows.items():
        if share > IGNORED:
            kind = _Kind(row.length, row.hit)
            known = design.ends(row, follow({row.length: design.batch})).known
            before, again = found.get(kind, (0.0, 0.0))
            found[kind] = before + share, again + share * known
    return found


def _course_seconds(
    design: Design, batch: Mapping[_Kind, int], again: int, follow: Follow
) -> float:
    """Return the seconds of a round; refuse one in which the phases come to other depths."""
    lengths = Counter[int]()
    for kind, rows in batch.items():
        lengths[kind.length] += rows
    found, usual = design.course(lengths, again), follow(lengths)
    if design.batch > 1 and found[:2] != usual[:2]:
        raise ConfigError(f"method at batch={design.batch}: {UNLIKE}")
    return found.seconds


def _splits(rows: int, shares: Sequence[float]) -> Iterator[tuple[tuple[int, ...], float]]:
    """Yield how many rows are of each kind, and how likely that is."""
    if len(shares) == 1:
        yield (rows,), 1.0
        return
    one = shares[0] / sum(shares)
    for each, chance in enumerate(count([(rows, np.array([1 - one, one]))]).tolist()):
        if chance > IGNORED:
            for others, given in _splits(rows - each, shares[1:]):
                yield (each, *others), chance * given
