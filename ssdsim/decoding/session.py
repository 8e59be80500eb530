"""A session: the workers and live sequences of one run, admitted and retired between rounds."""

from collections.abc import Callable, Iterable, Sequence
from collections.abc import Generator as Generating
from dataclasses import dataclass, field
from functools import partial
from operator import add, attrgetter
from typing import Any, Protocol, cast

from simpy import Environment, Event

from ssdsim.cuts.base import Cutter
from ssdsim.decoding.abilities import CuttableDraft
from ssdsim.decoding.detail import Detail
from ssdsim.decoding.prompts import PromptReader
from ssdsim.decoding.protocol import Draft, Row, Target
from ssdsim.decoding.request_queue import RequestQueue
from ssdsim.decoding.round_costs import RoundCosts, Together
from ssdsim.decoding.shared_cache import Prespeculating, prespeculating
from ssdsim.lengths.base import Control
from ssdsim.outcomes import Outcome, Speculation, depths
from ssdsim.policies.base import Predictor
from ssdsim.run.tables import Round
from ssdsim.run.tables import Sequence as SequenceRecord
from ssdsim.run.trace import Recorder
from ssdsim.sampling.settings import Sampling

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


class Admission(Protocol):
    """Which sequences are live: who is admitted between rounds, and who has to make room."""

    def admit(self, session: "Session") -> Wait:
        """Let `session.rows` be those of the next round, their prompts computed.

        It waits for somebody to come where nobody is there; none is live when nobody will.
        """
        ...

    def due(self, session: "Session") -> bool:
        """Return whether `admit` has something to do before these rows begin another round."""
        ...

    def left(self, rows: Iterable[Row]) -> None:
        """Take back what finished rows held."""
        ...

    def live(self, session: "Session") -> Sequence[Row]:
        """Return the admitted rows, also those whose prompts are not computed yet."""
        ...

    def blocks(self) -> int:
        """Return the blocks of the KV cache that these hold; 0 where nobody counts them."""
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
    admission
        Which of the waiting sequences are live.
    queue
        Sequences that are not live yet.
    recorder
        Where rounds and sequences are written down.
    retired
        Called with every finished sequence.
    assistants
        More drafts, where several share the speculation cache.
    seed
        Of every random stream, for methods that toss coins of their own.
    sampling
        How tokens are sampled.
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
    watch
        Told whenever somebody comes, is admitted, makes room or leaves; None: nobody is.
    rows
        The live sequences.
    prompts
        Lets the models compute prompts.
    drafts
        All drafts; the first one drafts alone where nothing is shared.
    prespeculate
        Starts to draft for predicted outcomes, on all drafts together.
    costs
        What a round is expected to take.

    """

    env: Environment
    target: Target
    draft: Draft
    policy: Predictor
    backup: Speculating
    draft_on: str | None
    lookahead: int
    admission: Admission
    queue: RequestQueue
    recorder: Recorder
    retired: Callable[[SequenceRecord], None] = lambda _: None
    assistants: Sequence[Draft] = ()
    seed: int = 0
    sampling: Sampling = Sampling()
    length: Control | None = None
    cutter: Cutter | None = None
    round_seconds: Callable[[float, float], float] = add
    servers: list[Target] = field(default_factory=list)
    detail: Detail | None = None
    watch: Callable[["Session"], None] | None = None
    rows: list[Row] = field(default_factory=list)
    drafts: list[Draft] = field(init=False)
    prespeculate: Prespeculating = field(init=False)
    prompts: PromptReader = field(init=False)
    costs: RoundCosts = field(init=False)

    def __post_init__(self) -> None:
        self.servers = self.servers or [self.target]
        self.drafts = [self.draft, *self.assistants]
        self.prompts = PromptReader(self.env, self.servers, self.drafts, self.draft_on)
        self.prespeculate = prespeculating(self.drafts)
        self.costs = RoundCosts(self.draft, self.target, self.round_seconds)
        if self.detail is not None:
            self.prespeculate = self.detail.watching(self.prespeculate)

    @property
    def goes_on(self) -> bool:
        """Whether there will be another round."""
        return bool(self.rows or self.queue.waiting or self.queue.expecting)

    @property
    def due(self) -> bool:
        """Whether the live sequences must not begin another round before `admit`."""
        return self.admission.due(self)

    def receive(self, row: Row) -> None:
        """Let a sequence wait."""
        self.queue.receive(row)
        self.noted()

    def noted(self) -> None:
        """Let who watches take note of who waits and who is live."""
        if self.watch is not None:
            self.watch(self)

    def admit(self) -> Wait:
        """Admit waiting sequences, and return the live rows."""
        yield from self.admission.admit(self)
        if self.length is not None:
            self.limit(self.rows)
        return self.rows

    def limit(self, rows: Sequence[Row]) -> None:
        """Let the length control say how many tokens to draft for these rows."""
        if self.length is not None and rows:
            self.lookahead = self.length.limit(len(rows), partial(self.costs.seconds, rows))

    def cut(
        self, rows: Sequence[Row], drafted: Sequence[Speculation], beside: Together | None = None
    ) -> list[Speculation]:
        """Return what is verified of the drafted speculations of all rows of a verify.

        `beside` says what such a round takes; None: as one whose branches are begun at once.
        """
        if self.cutter is None or not self.lookahead or not rows:
            return list(drafted)
        draft, pairs = cast("CuttableDraft", self.draft), zip(rows, drafted, strict=True)
        missed = [row for row, speculation in pairs if speculation.speculator == "backup"]
        waited = self.backup.speculate_seconds(self, missed) if missed else 0.0
        beside = beside or self.costs.branches(rows, self.lookahead)
        kept = self.cutter.depths(drafted, self.costs.verified(rows, waited, beside))
        for row, speculation, levels in zip(rows, drafted, kept, strict=True):
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
            finished = [row for row in self.rows if not row.left]
            self.rows = [row for row in self.rows if row.left]
            self.dismiss(finished)
        self.recorder.settle()

    def dismiss(self, finished: Sequence[Row]) -> None:
        """Let go of rows that have all their tokens."""
        for row in finished:
            row.record.finish = self.env.now
            row.record.reason = "eos" if row.ended else "length"
            self.retired(row.record)
        self.admission.left(finished)
        self.noted()

    def _show(
        self,
        observer: Control | Cutter,
        speculations: Sequence[Speculation],
        outcomes: Sequence[Outcome],
    ) -> None:
        for speculation, outcome in zip(speculations, outcomes, strict=True):
            if speculation.speculator != "none":
                observer.observe(speculation, outcome)
