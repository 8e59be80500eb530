"""A lookup as a method sees it: a draft without a model, in the run's own process."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from simpy import Event

from ssdreal.lanes.draft import RealDraft
from ssdreal.lanes.speculations import Drafted
from ssdsim.decoding.branch import NO_BRANCH, Branch
from ssdsim.decoding.protocol import Row
from ssdsim.drafters.base import Lookup, all_candidates, branches, named
from ssdsim.outcomes import Outcome, Speculation, Speculator, chain
from ssdsim.run.tables import Span

Found = Mapping[tuple[int, int], list[int]]
"""What was found behind each outcome of a row, (last accepted node, bonus token id)."""

Names = Mapping[Outcome, tuple[int, int]]
"""These names of a row's predicted outcomes."""


@dataclass(eq=False)
class LookupDraft(RealDraft):
    """Looks every chain up in the text. It asks no worker, and is measured as it goes on.

    Attributes
    ----------
    lookup
        What finds them.
    looked, spent
        Lookups so far, and the seconds that they took.

    """

    lookup: Lookup = field(kw_only=True)
    looked: int = 0
    spent: float = 0.0

    def prefill(self, rows: Sequence[Row]) -> Event:  # noqa: ARG002 - whatever they are
        """Have nothing to do."""
        return self.env.event().succeed()

    def speculate(self, rows: Sequence[Row], lookahead: int, speculator: Speculator) -> Event:
        """Look at most `lookahead` tokens a row up."""
        span = self._begun("speculate", rows, self.recorder.verifies)
        found = [self.lookup.look_up(row.tokens, lookahead) for row in rows]
        self._ended(span, len(rows), sum(map(len, found)))
        for row in rows:
            row.work, row.text.ids = span, ()
        return self.env.event().succeed([_drafted(tokens, speculator) for tokens in found])

    def fork(self, rows: Sequence[Row], speculations: Sequence[Speculation]) -> Event:  # noqa: ARG002
        """Do nothing yet: candidates are looked up with the branches behind them."""
        return self.env.event().succeed(list(speculations))

    def prespeculate(
        self, rows: Sequence[Row], predictions: Sequence[frozenset[Outcome]], lookahead: int
    ) -> "LookedUpTree":
        """Look `lookahead` tokens up for every predicted outcome."""
        span = self._begun("prespeculate", rows, self.recorder.verifies - 1)
        found, names = dict[int, Found](), dict[int, Names]()
        for row, predicted in zip(rows, predictions, strict=True):
            sent = row.cached.tokens if row.cached else ()
            row.text.ids = all_candidates(self.lookup, row.tokens, sent)
            names[row.seq] = outcomes = named(predicted, row.text.ids)
            found[row.seq] = branches(self.lookup, row.tokens, sent, outcomes.values(), lookahead)
        chains = [tokens for of in found.values() for tokens in of.values()]
        nodes, span.branches = sum(len(row.text.ids) for row in rows), len(chains)
        self._ended(span, nodes + len(chains), sum(map(len, chains)))
        return LookedUpTree(span, found, names)

    def branches_within(self, seconds: float, rows: Sequence[Row], lookahead: int) -> int:
        """Return how many outcomes a row can be looked up for in `seconds`."""
        left = seconds / self._each() / len(rows) - (lookahead + 1)
        return max(0, min(int(left), self.most))

    def speculate_seconds(self, rows: Sequence[Row], lookahead: int) -> float:  # noqa: ARG002
        """Return the seconds that `speculate` is expected to take."""
        return len(rows) * self._each()

    def step_seconds(self, rows: Sequence[Row]) -> float:
        """Return the same: all tokens of a row come at once."""
        return len(rows) * self._each()

    def _each(self) -> float:
        """Return the seconds of one lookup, as they were so far."""
        return self.spent / self.looked if self.looked else 1e-6

    def _begun(self, kind: str, rows: Sequence[Row], number: int) -> Span:
        self.env.tick()
        return self.open(kind, rows, number, len(rows))

    def _ended(self, span: Span, lookups: int, tokens: int) -> None:
        self.env.tick()
        span.end, span.tokens = self.env.now, tokens
        self.looked += lookups
        self.spent += span.end - span.start
        self.recorder.spans.append(span)


@dataclass
class LookedUpTree:
    """Branches that were all looked up before the verify's outcome could arrive."""

    work: Span
    found: Mapping[int, Found]
    names: Mapping[int, Names]

    def wait(self, winners: Sequence[Row]) -> None:
        """Wait for nothing."""

    prune = truncate = wait

    def take(self, row: Row) -> Speculation:
        """Return the branch that the row's outcome chose."""
        row.work = self.work
        tokens = self.found[row.seq][row.text.outcome]
        row.text.ids = ()
        return _drafted(tokens, "primary")

    def branch(self, seq: int, outcome: Outcome) -> Branch:
        """Return what was looked up for an outcome."""
        name = self.names[seq].get(outcome)
        if name is None:
            return NO_BRANCH
        tokens = self.found[seq][name]
        return Branch(len(tokens), True, name[1], tokens)


def _drafted(tokens: Sequence[int], speculator: Speculator) -> Drafted:
    """Return what was looked up as a speculation; nobody drafted where nothing was found."""
    return Drafted(chain(len(tokens)), speculator if tokens else "none", tuple(tokens))
