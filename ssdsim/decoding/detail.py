"""Notes what the first rounds of a run verified, and which outcomes were prepared meanwhile.

A branch is over when the next round begins, or never, where the run ends before that; so what
became of it is asked for once, when the tables are made.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import chain, repeat
from typing import Any, NamedTuple, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from ssdsim.decoding.protocol import Row, Tree
from ssdsim.decoding.shared_cache import Predictions, Prespeculating
from ssdsim.outcomes import Outcome, Speculation, reached
from ssdsim.run.tables import OUTCOMES, SPECULATIONS, Round, Verified, table_of
from ssdsim.run.trace import DETAILED, Run

Number = TypeVar("Number", int, float)

MOST_ROUNDS = 2000
"""More are looked through by nobody, and a page of that many is still a few megabytes."""

MOST_OUTCOMES = 1 << 18
"""Outcomes after which no further round is noted: with their branches, some 100 MB of memory."""


IN_LISTS = (("sequences", "output"), ("speculations", "tokens"), ("outcomes", "continuation"))
"""Where token ids are, a list a row."""


Prepared = tuple[frozenset[Outcome], Tree]
"""Outcomes of a row, and what drafts for them."""


class Noted(NamedTuple):
    """A round that has ended.

    Attributes
    ----------
    round
        Its row of `rounds.parquet`.
    speculation, outcome
        What was verified, and how that ended; None where nothing was.
    prepared
        The outcomes prepared meanwhile and their branches, as often as such were begun.
    won
        The predicted outcome that the next round begins with; None after a miss.

    """

    round: Round
    speculation: Speculation
    outcome: Outcome | None
    prepared: Sequence[Prepared]
    won: Outcome | None


class Detail:
    """The notes of one run.

    Parameters
    ----------
    spell
        Returns the texts of token ids; None: nobody knows them.

    Attributes
    ----------
    rounds
        The rounds noted so far: the first rows of `rounds.parquet`.

    """

    def __init__(self, spell: Callable[[Sequence[int]], dict[int, str]] | None = None) -> None:
        self.spell = spell
        self.rounds: list[Noted] = []
        self._outcomes = 0
        self._growing: dict[int, list[Prepared]] = {}

    @property
    def full(self) -> bool:
        """Whether no more rounds are noted."""
        return len(self.rounds) == MOST_ROUNDS or self._outcomes >= MOST_OUTCOMES

    def watching(self, prespeculate: Prespeculating) -> Prespeculating:
        """Return what prespeculates likewise, and remembers for which outcomes."""

        def watched(rows: Sequence[Row], predictions: Predictions, lookahead: int) -> Tree:
            tree = prespeculate(rows, predictions, lookahead)
            for row, predicted in zip(rows, predictions, strict=True):
                self._growing.setdefault(row.seq, []).append((predicted, tree))
            return tree

        return watched

    def note(self, ended: Round, row: Row, speculation: Speculation) -> None:
        """Take down a round of `row` that has just ended."""
        prepared = self._growing.pop(row.seq, [])
        if self.full:
            return
        self._outcomes += sum(len(predicted) for predicted, _ in prepared)
        known = any(row.outcome in predicted for predicted, _ in prepared)
        won = row.outcome if row.left and known else None
        self.rounds.append(Noted(ended, speculation, row.outcome, prepared, won))

    def enter(self, run: Run) -> None:
        """Add the notes to a run: two tables, how many rounds they cover, and the tokens' texts."""
        run.info[DETAILED] = len(self.rounds)
        run.tables |= {
            "speculations": table_of([_verified(noted) for noted in self.rounds], SPECULATIONS),
            "outcomes": _outcomes(self.rounds),
        }
        if self.spell is not None:
            run.vocabulary = self.spell(_ids(run))


def _verified(noted: Noted) -> Verified:
    ended, speculation = noted.round, noted.speculation
    node, rank = noted.outcome or (None, None)
    return Verified(
        ended.seq,
        ended.round,
        speculation.speculator,
        speculation.parents,
        _whole(speculation.tokens, speculation),
        _whole(speculation.confidences, speculation),
        node,
        rank,
    )


def _whole(values: Sequence[Number], of: Speculation) -> Sequence[Number] | None:
    return values if len(values) == of.length else None


def _outcomes(rounds: Iterable[Noted]) -> pa.Table:
    """Return the table of all predicted outcomes, in order."""
    parts = [
        _prepared(noted) for noted in rounds if any(outcomes for outcomes, _ in noted.prepared)
    ]
    columns = {
        name: [*chain.from_iterable(part[name] for part in parts)] for name in OUTCOMES.names
    }
    return pa.table(columns, schema=OUTCOMES)


def _prepared(noted: Noted) -> dict[str, Iterable[Any]]:
    """Return the columns of a round's predicted outcomes."""
    ended = noted.round
    grown = {outcome: tree for predicted, tree in noted.prepared for outcome in predicted}
    outcomes = _in_order(frozenset(grown))
    branches = [grown[outcome].branch(ended.seq, outcome) for outcome in outcomes]
    won = [outcome == noted.won for outcome in outcomes]
    tokens = zip(won, branches, strict=True)
    return {
        "seq": repeat(ended.seq, len(outcomes)),
        "round": repeat(ended.round, len(outcomes)),
        "node": [outcome.node for outcome in outcomes],
        "rank": [outcome.rank for outcome in outcomes],
        "token": [ended.token if true else branch.token for true, branch in tokens],
        "chance": _chances(noted.speculation, outcomes),
        "drafted": [branch.drafted for branch in branches],
        "finished": [branch.finished for branch in branches],
        "won": won,
        "continuation": [branch.continuation for branch in branches],
    }


@lru_cache(maxsize=64)
def _in_order(outcomes: frozenset[Outcome]) -> tuple[Outcome, ...]:
    """Return outcomes by node, then by rank: many rounds predict the same."""
    return tuple(sorted(outcomes))


def _chances(speculation: Speculation, outcomes: Sequence[Outcome]) -> Iterable[float | None]:
    """Return the draft's own probability of the text that each outcome makes."""
    candidates, confidences = speculation.candidates, speculation.confidences
    if not candidates or len(confidences) != speculation.length:
        return repeat(None, len(outcomes))
    comes = reached(speculation.parents, confidences)
    return [
        comes[node] * candidates[node][rank] if rank < len(candidates[node]) else None
        for node, rank in outcomes
    ]


def _ids(run: Run) -> list[int]:
    """Return the token ids that a run's tables name, each once, in order."""
    named = [run.tables["outcomes"]["token"]]
    named += [pc.list_flatten(run.tables[table][column]) for table, column in IN_LISTS]
    found = {token for column in named for token in column.unique().to_pylist()}
    return sorted(found - {None})
