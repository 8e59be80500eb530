"""What a method works with: its workers, and the live sequences as they come and go."""

from collections.abc import Callable, Sequence
from collections.abc import Generator as Generating
from dataclasses import dataclass, field
from functools import partial
from operator import add
from typing import Any

from numpy.random import Generator
from simpy import Environment, Event

from ssdsim.backups.base import Speculating
from ssdsim.lengths.base import Control
from ssdsim.outcomes import Outcome, Round, Speculation
from ssdsim.policies.base import Predictor
from ssdsim.protocol import Draft, Row, Target
from ssdsim.streams import stream
from ssdsim.trace import Recorder
from ssdsim.trace import Sequence as SequenceRecord

Wait = Generating[Event, Any, Any]
"""A piece of a method: it yields the events it waits for."""


@dataclass
class Session:
    """One run of one method.

    Attributes
    ----------
    env
        The clock, simulated or real.
    target, draft
        The workers.
    policy
        Which outcomes to prepare.
    backup
        Who drafts after a miss.
    draft_on
        Whether the draft has its "own" devices or shares the "target"'s; None: no draft.
    lookahead
        K, tokens drafted a round: as many as `length` found right when it began.
    slots
        Sequences decoded at a time.
    waiting
        Sequences not admitted yet, in order.
    recorder
        Where rounds and sequences are written down.
    retired
        Called with every finished sequence.
    length
        How many tokens to draft; None: K always.
    round_seconds
        What a round takes, from what drafting and verifying take.
    rng
        What the method itself leaves to chance.

    """

    env: Environment
    target: Target
    draft: Draft
    policy: Predictor
    backup: Speculating
    draft_on: str | None
    lookahead: int
    slots: int
    waiting: list[Row]
    recorder: Recorder
    retired: Callable[[SequenceRecord], None] = lambda _: None
    length: Control | None = None
    round_seconds: Callable[[float, float], float] = add
    rng: Generator = field(default_factory=partial(stream, 0, "method"))
    rows: list[Row] = field(default_factory=list)

    def admit(self) -> Wait:
        """Fill free slots from the waiting sequences, prefill them, and return the live rows."""
        new = self._next()
        if new:
            self.waiting = self.waiting[len(new) :]
            yield from self._prefill(new)
            self.rows = [*self.rows, *new]
        if self.length is not None and self.rows:
            self.lookahead = self.length.limit(len(self.rows), self._expected)
        return self.rows

    def exchange(self, rows: Sequence[Row]) -> Wait:
        """Let the outcomes reach the draft and its speculations the target."""
        message = self.draft.exchange(rows, self.lookahead)
        if message is not None:
            yield message

    def commit(self, speculations: Sequence[Speculation], outcomes: Sequence[Outcome]) -> None:
        """End the round of every live row: deliver its tokens, retire it if it was the last."""
        finished = False
        for row, speculation, outcome in zip(self.rows, speculations, outcomes, strict=True):
            self._deliver(row, speculation, outcome)
            if self.length is not None and speculation.speculator != "none":
                self.length.observe(speculation, outcome)
            finished = finished or not row.left
        if finished:
            self._retire()

    def _next(self) -> list[Row]:
        """Return the waiting sequences that there is a slot for, all of the step under way."""
        free = self.waiting[: self.slots - len(self.rows)]
        return [row for row in free if row.step == (self.rows or free)[0].step]

    def _expected(self, lookahead: int) -> float:
        draft = self.draft.speculate_seconds(self.rows, lookahead) if lookahead else 0.0
        return self.round_seconds(draft, self.target.verify_seconds(self.rows, lookahead))

    def _prefill(self, rows: list[Row]) -> Wait:
        for row in rows:
            row.record.admitted = self.env.now
            self.target.admit(row)
        yield from self._compute_prompts(rows)
        for row in [*self.rows, *rows]:
            row.ready = self.env.now  # a prefill holds up the whole batch; no round has begun

    def _compute_prompts(self, rows: list[Row]) -> Wait:
        target = self.target.prefill(rows)
        if self.draft_on == "own":  # side by side
            draft = self.draft.prefill(rows)
            yield target
            yield draft
            return
        yield target
        if self.draft_on == "target":
            yield self.draft.prefill(rows)

    def _deliver(self, row: Row, speculation: Speculation, outcome: Outcome) -> None:
        whole = speculation.depth(outcome.node) + 1
        ids = self.target.commit(row, speculation, min(whole, row.left))
        delivered = len(ids) or min(whole, row.left)
        ranked = delivered == whole and speculation.speculator != "none"
        ended = Round(
            seq=row.record.seq,
            round=row.round,
            drafted=len(speculation.parents),
            speculator=speculation.speculator,
            hit=row.hit,
            accepted=delivered - 1,
            token=ids[-1] if ids else None,
            predicted=row.predicted,
            rank=outcome.rank if ranked else -1,
            start=row.ready,
            end=self.env.now,
        )
        self.recorder.rounds.append(ended)
        row.advance(delivered, ids, self.env.now)
        if row.ended:
            row.left = 0

    def _retire(self) -> None:
        for row in self.rows:
            if not row.left:
                row.record.finish = self.env.now
                row.record.reason = "eos" if row.ended else "length"
                self.retired(row.record)
        self.rows = [row for row in self.rows if row.left]
