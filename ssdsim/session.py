"""What a method works with: its workers, and the live sequences as they come and go."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

from simpy import Environment, Event

from ssdsim.backups.base import Speculating
from ssdsim.outcomes import Outcome, Round, Speculation
from ssdsim.policies.base import Predictor
from ssdsim.protocol import Draft, Row, Target
from ssdsim.trace import Recorder
from ssdsim.trace import Sequence as SequenceRecord

Wait = Generator[Event, Any, Any]
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
        K, tokens drafted a round.
    slots
        Sequences decoded at a time.
    waiting
        Sequences not admitted yet, in order.
    recorder
        Where rounds and sequences are written down.
    retired
        Called with every finished sequence.
    assistants
        More drafts, where several share the speculation cache.
    seed
        Of every random stream, for methods that toss coins of their own.

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
    assistants: Sequence[Draft] = ()
    seed: int = 0
    rows: list[Row] = field(default_factory=list)

    @property
    def drafts(self) -> list[Draft]:
        """All drafts; the first one drafts alone where nothing is shared."""
        return [self.draft, *self.assistants]

    def admit(self) -> Wait:
        """Fill free slots from the waiting sequences, prefill them, and return the live rows."""
        free = self.slots - len(self.rows)
        if free and self.waiting:
            new, self.waiting = self.waiting[:free], self.waiting[free:]
            yield from self._prefill(new)
            self.rows = [*self.rows, *new]
        return self.rows

    def exchange(self, rows: Sequence[Row]) -> Wait:
        """Let the outcomes reach the draft and its speculations the target."""
        message = self.draft.exchange(rows, self.lookahead)
        if message is not None:
            yield message

    def commit(self, speculations: Sequence[Speculation], outcomes: Sequence[Outcome]) -> None:
        """End the round of every live row: deliver its tokens, retire it if it was the last."""
        for row, speculation, outcome in zip(self.rows, speculations, outcomes, strict=True):
            self.end(row, speculation, outcome)
        self.retire()

    def end(self, row: Row, speculation: Speculation, outcome: Outcome) -> None:
        """End a row's round with the outcome of its verify."""
        row.outcome = outcome
        whole = speculation.depth(outcome.node) + 1
        ids = self.target.commit(row, speculation, min(whole, row.left))
        delivered = len(ids) or min(whole, row.left)
        ranked = delivered == whole and speculation.speculator != "none"
        self.deliver(row, speculation, delivered, ids, outcome.rank if ranked else -1)

    def deliver(
        self,
        row: Row,
        speculation: Speculation,
        delivered: int,
        ids: Sequence[int] = (),
        rank: int = -1,
    ) -> None:
        """End a row's round with so many tokens of `speculation` and what follows it."""
        ended = Round(
            seq=row.record.seq,
            round=row.round,
            drafted=len(speculation.parents),
            speculator=speculation.speculator,
            hit=row.hit,
            accepted=delivered - 1,
            token=ids[-1] if ids else None,
            predicted=row.predicted,
            rank=rank,
            start=row.ready,
            end=self.env.now,
        )
        self.recorder.rounds.append(ended)
        row.advance(delivered, ids, self.env.now)
        if row.ended:
            row.left = 0

    def retire(self) -> None:
        """Let go of the rows that have all their tokens."""
        for row in self.rows:
            if not row.left:
                row.record.finish = self.env.now
                row.record.reason = "eos" if row.ended else "length"
                self.retired(row.record)
        self.rows = [row for row in self.rows if row.left]

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
            drafts = [draft.prefill(rows) for draft in self.drafts]
            yield target
            yield from drafts
            return
        yield target
        if self.draft_on == "target":
            yield self.draft.prefill(rows)
