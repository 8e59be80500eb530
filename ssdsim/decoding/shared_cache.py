"""Splits a speculation cache among several drafts: each grows its share of the branches."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle

from simpy import AllOf, Event

from ssdsim.decoding.branch import Branch
from ssdsim.decoding.protocol import Draft, Row, Tree
from ssdsim.outcomes import Outcome, Speculation

Predictions = list[frozenset[Outcome]]
"""Outcomes that a draft prepares, a set a row."""


Prespeculating = Callable[[Sequence[Row], Predictions, int], Tree]
"""Starts to draft so many tokens for every predicted outcome of these rows."""


def prespeculating(drafts: Sequence[Draft]) -> Prespeculating:
    """Return what drafts for every predicted outcome: the one draft there is, or all together."""
    return drafts[0].prespeculate if len(drafts) == 1 else partial(_prespeculate, drafts)


def _prespeculate(
    drafts: Sequence[Draft], rows: Sequence[Row], predictions: Predictions, lookahead: int
) -> Tree:
    shares = deal(predictions, len(drafts))
    trees = [
        draft.prespeculate(rows, share, lookahead)
        for draft, share in zip(drafts, shares, strict=True)
    ]
    places = {row.seq: place for place, row in enumerate(rows)}
    return SplitTree(trees, shares, places)


def deal(predictions: Predictions, drafts: int) -> list[Predictions]:
    """Deal all rows' outcomes out in turn, so that no draft has two more than another.

    Returns
    -------
    list
        For each draft the outcomes of every row, some rows perhaps without any.

    """
    turn = cycle(range(drafts))
    shares: list[Predictions] = [[] for _ in range(drafts)]
    for predicted in predictions:
        hands: list[set[Outcome]] = [set() for _ in range(drafts)]
        for outcome in sorted(predicted, key=lambda one: (one.node, one.rank)):
            hands[next(turn)].add(outcome)
        for share, hand in zip(shares, hands, strict=True):
            share.append(frozenset(hand))
    return shares


@dataclass(frozen=True)
class SplitTree:
    """One tree a draft. All are settled before the next round, as every draft grows that too.

    Attributes
    ----------
    trees
        The drafts' own.
    shares
        What each of them prepares.
    places
        Where a sequence stands among the rows of the round.

    """

    trees: Sequence[Tree]
    shares: Sequence[Predictions]
    places: dict[int, int]

    def wait(self, winners: Sequence[Row]) -> Event | None:
        """Finish every branch."""
        return self._settled("wait", winners)

    def prune(self, winners: Sequence[Row]) -> Event | None:
        """Drop the losing branches; a draft without a winner stops."""
        return self._settled("prune", winners)

    def truncate(self, winners: Sequence[Row]) -> Event | None:
        """Stop after the steps in flight."""
        return self._settled("truncate", winners)

    def take(self, row: Row) -> Speculation:
        """Return the branch of `row`'s outcome from the draft that has it."""
        return self.trees[self._holder(row)].take(row)

    def branch(self, seq: int, outcome: Outcome) -> Branch:
        """Return what became of an outcome, from the draft that has it."""
        return self.trees[self._holding(seq, outcome)].branch(seq, outcome)

    def _settled(self, how: str, winners: Sequence[Row]) -> Event | None:
        won: list[list[Row]] = [[] for _ in self.trees]
        for row in winners:
            won[self._holder(row)].append(row)
        ends = [getattr(tree, how)(rows) for tree, rows in zip(self.trees, won, strict=True)]
        events = [end for end in ends if end is not None]
        return AllOf(events[0].env, events) if events else None

    def _holder(self, row: Row) -> int:
        assert row.outcome is not None, "it has won"
        return self._holding(row.seq, row.outcome)

    def _holding(self, seq: int, outcome: Outcome) -> int:
        place = self.places[seq]
        return next(i for i, share in enumerate(self.shares) if outcome in share[place])
