"""A session: the workers and live sequences of one run, admitted and retired between rounds."""

from collections.abc import Callable, Iterable, Sequence
from collections.abc import Generator as Generating
from dataclasses import dataclass, field
from functools import partial
from operator import add, attrgetter
from typing import Any, Protocol, cast

from simpy import Environment, Event

from ssdsim.cuts.base import Cost, Cutter
from ssdsim.decoding.abilities import CuttableDraft
from ssdsim.decoding.detail import Detail
from ssdsim.decoding.protocol import Draft, Row, Target
from ssdsim.decoding.shared_cache import Prespeculating, prespeculating
from ssdsim.lengths.base import Control
from ssdsim.outcomes import Outcome, Speculation, depths
from ssdsim.policies.base import Predictor
from ssdsim.run.tables import Round
from ssdsim.run.tables import Sequence as SequenceRecord
from ssdsim.run.trace import Recorder

_left = attrgetter("left")

Wait = Generating[Event, Any, Any]
"""A piece of a method: it yields the events it waits for."""


class Speculating(Protocol):
    """A backup at work in one run."""

    def speculate(self, session: "Session", rows: Sequence[Row]) -> Event:
        """Draft `session.lookahead` tokens for each row; the value is a list of speculations."""
        ...

    def speculate_seconds(self, session: "Session", rows: Sequence[Row]) -> float:
        """Return the seconds that this is expected to take."""
        ...


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
    assistants
        More drafts, where several share the speculation cache.
    seed
        Of every random stream, for methods that toss coins of their own.
    length
        How many tokens to draft; None: K always.
    cutter
        How much of what was drafted is verified; None: all.
    round_seconds
        What a round takes, from what drafting and verifying take.
    servers
        All copies of the target, `target` first; it alone by default.
    detail
        Where each round's speculation and predicted outcomes are noted; None: nowhere.
    rows
        The live sequences.
    drafts
        All drafts; the first one drafts alone where nothing is shared.
    prespeculate
        Starts to draft for predicted outcomes, on all drafts together.

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
    length: Control | None = None
    cutter: Cutter | None = None
    round_seconds: Callable[[float, float], float] = add
    servers: list[Target] = field(default_factory=list)
    detail: Detail | None = None
    rows: list[Row] = field(default_factory=list)
    drafts: list[Draft] = field(init=False)
    prespeculate: Prespeculating = field(init=False)

    def __post_init__(self) -> None:
        self.servers = self.servers or [self.target]
        self.drafts = [self.draft, *self.assistants]
        self.prespeculate = prespeculating(self.drafts)
        if self.detail is not None:
            self.prespeculate = self.detail.watching(self.prespeculate)

    def admit(self) -> Wait:
        """Fill free slots from the waiting sequences, prefill them, and return the live rows."""
        if self.waiting and len(self.rows) < self.slots and (new := self._next()):
            self.waiting = self.waiting[len(new) :]
            yield from self._prefill(new)
            self.rows = [*self.rows, *new]
        if self.length is not None:
            self.limit(self.rows)
        return self.rows

    def limit(self, rows: Sequence[Row]) -> None:
        """Let the length control say how many tokens to draft for these rows."""
        if self.length is not None and rows:
            self.lookahead = self.length.limit(len(rows), partial(self._expected, rows))

    def cut(self, rows: Sequence[Row], speculations: Sequence[Speculation]) -> list[Speculation]:
        """Return what is verified of these speculations of all rows of a verify."""
        if self.cutter is None or not self.lookahead:
            return list(speculations)
        draft, target = cast("CuttableDraft", self.draft), self.target
        drafting = draft.speculate_seconds(rows, self.lookahead)
        verify = partial(target.verify_seconds_of, rows)
        cost = Cost(draft.nodes, verify, partial(self.round_seconds, drafting))
        kept = self.cutter.depths(speculations, cost)
        for row, speculation, levels in zip(rows, speculations, kept, strict=True):
            row.cached = draft.beginning(row, speculation, levels)
        return [row.cached for row in rows if row.cached is not None]

    def exchange(self, rows: Sequence[Row], length: int | None = None) -> Iterable[Event]:
        """Let outcomes reach the draft and its speculations the target: K or `length` tokens."""
        message = self.draft.exchange(rows, self.lookahead if length is None else length)
        return () if message is None else (message,)

    def commit(
        self,
        speculations: Sequence[Speculation],
        outcomes: Sequence[Outcome],
        server: Target | None = None,
        rows: Sequence[Row] | None = None,
    ) -> None:
        """End the round of every live row: deliver its tokens, retire it if it was the last.

        `server` verified it; None: the target. `rows` are those that it verified; None: all.
        """
        for place, row in enumerate(self.rows if rows is None else rows):
            self.end(row, speculations[place], outcomes[place], server)
        for observer in (self.length, self.cutter):
            if observer is not None:
                self._show(observer, speculations, outcomes)
        self.retire()

    def end(
        self, row: Row, speculation: Speculation, outcome: Outcome, server: Target | None = None
    ) -> None:
        """End a row's round with the outcome of its verify by `server`; None: by the target."""
        row.outcome = outcome
        whole = depths(speculation.parents)[outcome.node] + 1
        most = min(whole, row.left)
        continued = self.draft.continued(row, speculation)
        ids = (server or self.target).commit(row, speculation, most)
        delivered = len(ids) or most
        ranked = delivered == whole and speculation.speculator != "none"
        known = outcome.rank if ranked else -1
        self.deliver(row, speculation, delivered, ids, known, continued and delivered == whole)

    def deliver(
        self,
        row: Row,
        speculation: Speculation,
        delivered: int,
        ids: Sequence[int] = (),
        rank: int = -1,
        continued: bool = False,
    ) -> None:
        """End a row's round with so many tokens of `speculation` and what follows it.

        `continued`: the draft went on meanwhile, and was right about all of them.
        """
        now = self.env.now
        ended = Round(
            row.seq,
            row.round,
            len(speculation.parents),
            speculation.speculator,
            row.hit,
            delivered - 1,
            ids[-1] if ids else None,
            row.predicted,
            rank,
            row.ready,
            now,
        )
        self.recorder.rounds.append(ended)
        row.advance(delivered, ids, now, continued)
        if self.detail is not None:
            self.detail.note(ended, row, speculation)

    def retire(self) -> None:
        """Let go of the rows that have all their tokens; `rows` is a new list if there are any."""
        if not all(map(_left, self.rows)):
            self._let_go([row for row in self.rows if not row.left])
        self.recorder.settle()

    def _show(
        self,
        observer: Control | Cutter,
        speculations: Sequence[Speculation],
        outcomes: Sequence[Outcome],
    ) -> None:
        for speculation, outcome in zip(speculations, outcomes, strict=True):
            if speculation.speculator != "none":
                observer.observe(speculation, outcome)

    def _let_go(self, finished: Sequence[Row]) -> None:
        for row in finished:
            row.record.finish = self.env.now
            row.record.reason = "eos" if row.ended else "length"
            self.retired(row.record)
        self.rows = [row for row in self.rows if row.left]

    def _next(self) -> list[Row]:
        """Return the waiting sequences that there is a slot for, all of the step under way."""
        free = self.waiting[: self.slots - len(self.rows)]
        return [row for row in free if row.step == (self.rows or free)[0].step]

    def _expected(self, rows: Sequence[Row], lookahead: int) -> float:
        verify = self.target.verify_seconds(rows, lookahead)
        if not lookahead:
            return self.round_seconds(0.0, verify)
        draft = self.draft.speculate_seconds(rows, lookahead)
        messages = self.draft.exchange_seconds(rows, lookahead)
        return messages + self.round_seconds(draft, verify)

    def _prefill(self, rows: list[Row]) -> Wait:
        for row in rows:
            row.record.admitted = self.env.now
            self.target.admit(row)
        yield from self._compute_prompts(rows)
        for row in [*self.rows, *rows]:
            row.ready = self.env.now  # a prefill holds up the whole batch; no round has begun

    def _compute_prompts(self, rows: list[Row]) -> Wait:
        targets = [server.prefill(rows) for server in self.servers]
        if self.draft_on == "own":  # side by side
            targets += [draft.prefill(rows) for draft in self.drafts]
        yield from targets
        if self.draft_on == "target":
            yield self.draft.prefill(rows)
