"""Why each round hit or missed, and which fan-out would have spared a miss.

A round's `hit` says whether its speculation was found: whether the outcome of the round before it,
the last accepted node and the bonus token's rank there, had been predicted.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ssdsim.outcomes import depths
from ssdsim.run.stored_table import whole
from ssdsim.run.trace import DETAILED, DETAILS, Run

Whole = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

HITS = ("hit", "hit, cut short", "hit, redrafted", "hit, nothing drafted")
"""The branch was whole; was stopped before its end; was drafted anew, since a batch-mate missed;
was empty."""

MISSES = (
    "outside the candidates",
    "k not covered",
    "rank beyond F_k",
    "rank left out",
    "miss, not recorded",
)
"""The draft's candidates did not hold the bonus token; nothing was predicted after k accepted
tokens; not as many candidates as that; a likelier one than the last predicted; nobody noted what
was predicted."""

SPARED = ("k not covered", "rank beyond F_k", "rank left out")
"""Misses that a larger fan-out would have spared."""

VERDICTS = ("first round", "nothing predicted", *HITS, *MISSES)
_NUMBER = {name: number for number, name in enumerate(VERDICTS)}


@dataclass(frozen=True)
class Verdicts:
    """Why every round hit or missed, in the order of `Run.rounds`.

    Attributes
    ----------
    kinds
        Which of `VERDICTS`.
    needs
        Of a miss, the smallest F_k that would have spared it; -1 where none would.
    costs
        Branches that this F_k would add to a round on average; NaN where there is none.

    """

    kinds: NDArray[np.uint8]
    needs: Whole
    costs: Floats

    def counts(self) -> dict[str, int]:
        """Return how many rounds got each verdict, those that none got left out."""
        found = Counter(self.kinds.tolist())
        return {name: found[number] for number, name in enumerate(VERDICTS) if number in found}

    def __str__(self) -> str:
        """Say what there was of each, a line a verdict."""
        return "\n".join(f"{count:8}  {name}" for name, count in self.counts().items())


def verdicts(run: Run) -> Verdicts:
    """Return why every round of a run hit or missed.

    Of rounds that were not recorded in detail it is told as far as the rounds alone tell it.
    """
    found = _Found(run)
    kinds = found.kinds()
    needs, costs = found.offers(kinds)
    return Verdicts(kinds, needs, costs)


class _Found:
    """The columns of a run that verdicts hang on.

    `before` is the row of the round before, -1 for a sequence's first. What is known in detail are
    the first `detailed` rows: of each the outcome, its fan-out there, and what came of the winner.
    """

    def __init__(self, run: Run) -> None:
        self.detailed: int = run.info.get(DETAILED) or 0
        self.rounds = whole(run.tables["rounds"])
        noted = {
            name: whole(run.tables[name]) if self.detailed else of.empty_table()
            for name, of in DETAILS.items()
        }
        self.speculations, self.outcomes = noted["speculations"], noted["outcomes"]
        self.before = before(*(_integers(self.rounds[name]) for name in ("seq", "round")))
        self.known = (self.before >= 0) & (self.before < self.detailed)

    def kinds(self) -> NDArray[np.uint8]:
        """Return the verdicts; of those that hold of a round the last one counts."""
        hit = _integers(self.rounds["hit"])
        kinds = np.full(len(hit), _NUMBER["first round"], np.uint8)
        kinds[self.before >= 0] = _NUMBER["nothing predicted"]
        for value, verdicts in ((1, self._hits()), (0, self._misses())):
            for name, holds in verdicts:
                kinds[(hit == value) & holds] = _NUMBER[name]
        return kinds

    def _hits(self) -> Iterator[tuple[str, Bools]]:
        drafted, backup = self.rounds["drafted"], pc.equal(self.rounds["speculator"], "backup")
        yield "hit", np.ones(len(drafted), bool)
        yield "hit, cut short", self._of_before(self.cut_short) > 0
        yield "hit, nothing drafted", _integers(drafted) == 0
        yield "hit, redrafted", _integers(backup) > 0

    def _misses(self) -> Iterator[tuple[str, Bools]]:
        rank, last = self._of_before(self.rank), self._of_before(self.last)
        yield "rank left out", self.known
        yield "rank beyond F_k", self.known & (rank > last)
        yield "k not covered", self.known & (last < 0)
        yield "outside the candidates", self.known & (rank < 0)
        yield "miss, not recorded", ~self.known

    def offers(self, kinds: NDArray[np.uint8]) -> tuple[Whole, Floats]:
        """Return the smallest F_k that would have spared each miss, and its cost."""
        needs, costs = np.full(len(kinds), -1), np.full(len(kinds), np.nan)
        for row in np.flatnonzero(np.isin(kinds, [_NUMBER[name] for name in SPARED])):
            before = self.before[row]
            needs[row] = self.rank[before] + 1
            costs[row] = self._cost(self._depths[before][self.node[before]], needs[row])
        return needs, costs

    @cached_property
    def node(self) -> Whole:
        """The node where each verify ended, -1 where it was none."""
        return _integers(self.speculations["node"])

    @cached_property
    def rank(self) -> Whole:
        """The rank of the bonus token there, -1 where it is none."""
        return _integers(self.speculations["rank"])

    @cached_property
    def last(self) -> Whole:
        """The last rank that was predicted for where the verify ended, -1 without any."""
        found, there = np.full(self.detailed, -1), self._nodes == self.node[self._owner]
        np.maximum.at(found, self._owner[there], _integers(self.outcomes["rank"])[there])
        return found

    @cached_property
    def cut_short(self) -> Whole:
        """1 where the branch that won was stopped before its end."""
        won, finished = (_integers(self.outcomes[name]) for name in ("won", "finished"))
        found = np.zeros(self.detailed, np.int64)
        found[self._owner[(won == 1) & (finished == 0)]] = 1
        return found

    @cached_property
    def _nodes(self) -> Whole:
        """The node of each predicted outcome."""
        return _integers(self.outcomes["node"])

    @cached_property
    def _owner(self) -> Whole:
        """The row of the round that each predicted outcome is of."""
        predicted = _integers(self.rounds["predicted"])[: self.detailed]
        return np.repeat(np.arange(self.detailed), predicted)

    @cached_property
    def _depths(self) -> list[tuple[int, ...]]:
        """The depth of every node of each round's speculation."""
        return [depths(tuple(parents)) for parents in self.speculations["parents"].to_pylist()]

    @cached_property
    def _fanouts(self) -> dict[int, Whole]:
        """By depth, how many outcomes were predicted at each node where any round could end."""
        width = max(map(len, self._depths))
        counts = np.bincount(self._owner * width + self._nodes, minlength=self.detailed * width)
        found = defaultdict[int, list[int]](list)
        for row in np.unique(self._owner):
            for node, depth in enumerate(self._depths[row]):
                found[depth].append(counts[row * width + node])
        return {depth: np.array(fanouts) for depth, fanouts in found.items()}

    def _cost(self, depth: int, fanout: int) -> float:
        """Return the branches that F_depth = `fanout` adds to a mean round that predicts at all."""
        more = np.maximum(0, fanout - self._fanouts[depth]).sum()
        return float(more / len(self._fanouts[0]))

    def _of_before(self, column: Whole) -> Whole:
        """Return what a column says of the round before, 0 where that is not known."""
        found = np.zeros(len(self.before), np.int64)
        found[self.known] = column[self.before[self.known]]
        return found


def _integers(column: pa.ChunkedArray) -> Whole:
    """Return numbers or truths as integers, a null as -1."""
    found: Whole = pc.fill_null(column.cast(pa.int64()), -1).to_numpy()
    return found


def before(seq: Whole, number: Whole) -> Whole:
    """Return for every round the row of the one before it in its sequence, -1 for the first."""
    order = np.lexsort((number, seq))
    found = np.full(len(seq), -1)
    later = np.flatnonzero(seq[order[1:]] == seq[order[:-1]]) + 1
    found[order[later]] = order[later - 1]
    return found
