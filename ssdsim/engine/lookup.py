"""The simulated lookup: it drafts on the host, from the text, while no model is asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from simpy import Event

from ssdsim.decoding.branch import NO_BRANCH, Branch
from ssdsim.decoding.protocol import Row
from ssdsim.drafters.base import Lookup, all_candidates, branches, named
from ssdsim.engine.draft import SimulatedDraft
from ssdsim.engine.draft_passes import glued
from ssdsim.engine.lanes import Lane
from ssdsim.latency.base import Pass
from ssdsim.latency.constant import Constant
from ssdsim.latency.machine import Drawing
from ssdsim.lengths.base import Control
from ssdsim.outcomes import Outcome, Speculation
from ssdsim.run.trace import Recorder
from ssdsim.trees.chain import Chain

HOST = "host"
"""Where lookups run, as spans name it: beside the devices."""

MOST_BRANCHES = 64
"""Outcomes of a row where its budget is whatever can be looked up beside a verify."""

LookedUp = tuple[int, Sequence[int]]
"""An outcome's bonus token, and the tokens that were found behind it."""


@dataclass(eq=False)
class SimulatedLookup(SimulatedDraft):
    """A draft whose every chain is one lookup: it reads no cache, and is sent no messages.

    Texts say what is found (`ssdsim.acceptance.looked_up`). A "pass" over so many tokens is as
    many lookups.
    """

    lookup: Lookup = field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.prespeculate = partial(LookupTree, self)

    def pass_seconds(self, work: Pass, batch: int, tokens: int, context: int) -> float:  # noqa: ARG002
        """Return the seconds of so many lookups."""
        return tokens * self.lookup.seconds

    def branches_within(self, seconds: float, rows: Sequence[Row], lookahead: int) -> int:  # noqa: ARG002
        """Return how many outcomes a row can be looked up for in `seconds`."""
        left, each = seconds - self.glue_seconds(rows), len(rows) * self.lookup.seconds
        return MOST_BRANCHES if not each else max(0, min(int(left / each), MOST_BRANCHES))

    def _chain_seconds(self, nodes: int | None, lookahead: int, batch: int, context: int) -> float:  # noqa: ARG002
        return batch * self.lookup.seconds


class LookupTree:
    """Branches that are looked up one after the other: none is worth stopping for."""

    def __init__(
        self,
        draft: SimulatedLookup,
        rows: Sequence[Row],
        predictions: Sequence[frozenset[Outcome]],
        length: int,
    ) -> None:
        self.draft, self.length = draft, length
        self.begun = any(predictions)
        if not self.begun:
            return
        self.found = {
            row.seq: self._looked_up(row, predicted)
            for row, predicted in zip(rows, predictions, strict=True)
        }
        found = [tokens for of in self.found.values() for _, tokens in of.values()]
        made, number = sum(map(len, found)), draft.recorder.verifies - 1
        self.span = draft.span("prespeculate", rows, number, len(found), made)
        draft.lane.begin(self.span, (glued(rows) + len(found)) * draft.lookup.seconds)

    def wait(self, winners: Sequence[Row]) -> Event | None:  # noqa: ARG002 - all are looked up
        """Finish every branch."""
        return self.draft.lane.end() if self.begun else None

    prune = truncate = wait

    def take(self, row: Row) -> Speculation:
        """Return the winning branch of `row`."""
        row.work = self.span
        found: Speculation = row.text.speculate(self.length, "primary")
        return found

    def branch(self, seq: int, outcome: Outcome) -> Branch:
        """Return what was looked up for an outcome."""
        if outcome not in self.found[seq]:
            return NO_BRANCH
        token, tokens = self.found[seq][outcome]
        return Branch(len(tokens), True, token, tokens)

    def _looked_up(self, row: Row, predicted: frozenset[Outcome]) -> Mapping[Outcome, LookedUp]:
        assert row.cached is not None, "it is being verified"
        lookup, sent = self.draft.lookup, row.cached.tokens
        outcomes = named(predicted, all_candidates(lookup, row.tokens, sent))
        found = branches(lookup, row.tokens, sent, outcomes.values(), self.length)
        return {outcome: (name[1], found[name]) for outcome, name in outcomes.items()}


def simulated_lookup(
    lane: Lane, recorder: Recorder, lookup: Lookup, length: Control, vocabulary: int | None
) -> SimulatedLookup:
    """Return a lookup at work in one run."""
    idle = Constant(verify=0.0, step=0.0)
    passes = lane, idle, recorder, lambda: 1.0, 0.0, Drawing(), length, Chain(), 1
    return SimulatedLookup(*passes, vocabulary, None, lookup=lookup)
