"""Draft and target as a method sees them, at work in processes of their own."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from simpy import Event

from ssdreal.channel.messages import Block, Clock, Done, Fork, Prefill, Speculate, Verify
from ssdreal.channel.remote import Remote
from ssdreal.clock import WallClock
from ssdreal.drafted import (
    Drafted,
    Text,
    ahead_of,
    drafted_from,
    lines_ahead,
    lines_of,
    rank_in,
    take_up,
)
from ssdreal.speculation_cache import RealTree
from ssdsim.lengths.base import Control, Stopping
from ssdsim.outcomes import Outcome, Speculation, Speculator, chain
from ssdsim.protocol import Row
from ssdsim.trace import Recorder, Span


@dataclass(eq=False)
class Worker:
    """What both have in common: a remote to ask, and spans to write down.

    A worker is asked first, and what there is to write down is written while it works.

    Attributes
    ----------
    lane, device
        As spans name them.
    paces
        What its passes take: of each kind (tokens, seconds).
    closed
        Spans written down, with the numbers of the commands that they began and ended with.

    """

    env: WallClock
    remote: Remote
    recorder: Recorder
    lane: str
    device: str
    paces: Mapping[str, Sequence[tuple[int, float]]]
    closed: list[tuple[Span, int, int]] = field(default_factory=list, init=False)

    def prefill(self, rows: Sequence[Row]) -> Event:
        """Compute the prompts, all but the last token of each."""
        span = self.open("prefill", rows, self.recorder.verifies)
        span.tokens = sum(row.record.prompt_tokens for row in rows)
        return self.env.process(self._prefilled(span, self.remote.ask(Prefill, lines_of(rows))))

    def open(self, kind: str, rows: Sequence[Row], number: int, branches: int = 0) -> Span:
        """Begin a span; `number` is the lock-step round for a batch, else the row's own."""
        alone = len(rows) == 1
        return Span(
            lane=self.lane,
            device=self.device,
            kind=kind,
            seq=rows[0].seq if alone else -1,
            seqs=None if alone else [row.seq for row in rows],
            round=rows[0].round if alone else number,
            start=self.env.now,
            end=self.env.now,
            batch=len(rows),
            branches=branches,
        )

    def close(self, span: Span, done: Done, tokens: int, since: Done | None = None) -> None:
        """Write a span down with the times that its worker took; it may begin with another work."""
        since = since or done
        span.start, span.end = self.env.seconds(since.start), self.env.seconds(done.end)
        span.tokens = tokens
        self.recorder.spans.append(span)
        self.closed.append((span, since.stamp.number, done.stamp.number))

    def clock(self) -> Event:
        """Ask when everything ran by the device's own clock, and correct the spans' times."""
        return self.env.process(self._clocked(self.remote.ask(Clock)))

    def _prefilled(self, span: Span, answer: Event) -> Generator[Event, Any, None]:
        done = yield answer
        if done is not None:
            self.close(span, done, span.tokens)

    def _clocked(self, answer: Event) -> Generator[Event, Any, None]:
        done = yield answer
        times = {} if done is None else {number: (b, e) for number, b, e in done.value.commands}
        for span, first, last in self.closed:
            if first in times and last in times:
                span.start = self.env.seconds(times[first][0])
                span.end = self.env.seconds(times[last][1])

    def pace(self, work: str, tokens: int) -> float:
        """Return the seconds that a pass over so many tokens took while warming up."""
        if work not in self.paces:
            return 0.0  # the worker was lost before it could measure
        measured = np.array(self.paces[work])
        return float(np.interp(tokens, measured[:, 0], measured[:, 1]))


@dataclass(eq=False)
class RealTarget(Worker):
    """The target.

    Attributes
    ----------
    prompts
        Token ids of every sequence's prompt.
    ends
        Token ids that end a sequence.
    free
        Slots that no row has.

    """

    prompts: Sequence[Sequence[int]] = ()
    ends: frozenset[int] = frozenset()
    free: list[int] = field(default_factory=list)
    verified: Span | None = None

    def admit(self, row: Row) -> None:
        """Give the row its prompt and a slot."""
        self.free.sort()
        row.text = Text(self.free.pop(0))
        row.tokens = list(self.prompts[row.seq])
        row.context = row.record.prompt_tokens = len(row.tokens)
        row.ends = self.ends

    def undrafted(self, row: Row) -> Speculation:
        """Return an empty speculation."""
        row.text.ids = ()
        return Drafted((), "none")

    def verify(self, rows: Sequence[Row], speculations: Sequence[Speculation]) -> Event:
        """Verify a speculation a row in one pass; the value is a list of outcomes."""
        blocks = tuple(Block(s.tokens, getattr(s, "place", None)) for s in speculations)
        answer = self.remote.ask(Verify, lines_of(rows), blocks=blocks)
        span = self.open("verify", rows, self.recorder.verifies)
        span.tokens = len(rows) + sum(len(block.tokens) for block in blocks)
        self.recorder.verifies += 1
        return self.env.process(self._outcomes(rows, span, answer))

    def cancel(self) -> None:
        """Fail: a worker finishes what it was told to verify."""
        raise NotImplementedError

    def commit(self, row: Row, speculation: Speculation, delivered: int) -> Sequence[int]:
        """Return the tokens that the row keeps, up to the first that ends it."""
        accepted, bonus = row.text.outcome
        ids = (*speculation.tokens[:accepted], bonus)[:delivered]
        last = next((at for at, token in enumerate(ids) if token in row.ends), len(ids))
        ids = ids[: last + 1]
        if self.verified is not None:
            self.verified.used += len(ids)
        if len(ids) == row.left or ids[-1] in row.ends:
            self.free.append(row.text.slot)
        return ids

    def verify_seconds(self, rows: Sequence[Row], lookahead: int) -> float:
        """Return the seconds that a verify of these rows is expected to take."""
        return self.pace("verify", len(rows) * (lookahead + 1))

    def _outcomes(
        self, rows: Sequence[Row], span: Span, answer: Event
    ) -> Generator[Event, Any, list[Outcome]]:
        done = yield answer
        self.close(span, done, span.tokens)
        self.verified = span
        for row, outcome in zip(rows, done.value.outcomes, strict=True):
            row.text.outcome = outcome
            if row.text.fork is not None:
                yield row.text.fork  # a bonus token is named by its rank among the candidates
        return [Outcome(row.text.outcome[0], rank_in(row.text)) for row in rows]


@dataclass(eq=False)
class RealDraft(Worker):
    """The draft. When its worker is lost it drafts nothing, and the run goes on.

    Attributes
    ----------
    vocabulary
        Token ids there are.
    most
        Branches of a row that there is room for.
    length
        When a chain ends before its limit.
    trees
        Trees begun.
    forking
        The worker's last search for candidates; None before the first, or once it is lost.

    """

    vocabulary: int = 0
    most: int = 1
    length: Control = field(default_factory=lambda: Control(0))
    trees: int = 0
    forking: Done | None = None

    def exchange(self, rows: Sequence[Row], lookahead: int) -> None:
        """Spend no time: messages take what they take."""

    def speculate(self, rows: Sequence[Row], lookahead: int, speculator: Speculator) -> Event:
        """Draft at most `lookahead` tokens a row in series."""
        stopping = self.length.stopping(lookahead)
        answer = self.remote.ask(Speculate, lines_of(rows), stopping=stopping)
        span = self.open("speculate", rows, self.recorder.verifies, len(rows))
        return self.env.process(self._speculated(rows, span, speculator, answer))

    def run_on(self, rows: Sequence[Row], length: int) -> Event:
        """Draft `length` more tokens a row past all that it has."""
        lines = lines_ahead(rows)
        answer = self.remote.ask(Speculate, lines, stopping=Stopping(length))
        span = self.open("speculate", rows, self.recorder.verifies, len(rows))
        known = [(row, row.ahead, line.tokens) for row, line in zip(rows, lines, strict=True)]
        return self.env.process(self._ran_on(known, span, answer))

    def cancel(self, rows: Sequence[Row]) -> None:
        """Fail: a worker finishes what it was told to draft."""
        raise NotImplementedError

    def ahead(self, row: Row, length: int, start: int = 0) -> Speculation:
        """Return `length` tokens that the draft has past the committed ones and `start` more."""
        tokens = ahead_of(row)[start : start + length]
        return Drafted(chain(len(tokens)), "primary" if tokens else "none", tokens)

    def continued(self, row: Row, speculation: Speculation) -> bool:
        """Tell whether nothing that a verified speculation came to parts with what is ahead."""
        accepted, bonus = row.text.outcome
        had = ahead_of(row)[: accepted + 1]
        return had == (*speculation.tokens[:accepted], bonus)[: len(had)]

    def adopt(
        self,
        rows: Sequence[Row],
        proposals: Sequence[Sequence[int]],
        lookahead: int,
        seconds: float,  # noqa: ARG002 - it has taken what it took
    ) -> Event:
        """Take a proposal a row."""
        found = [
            Drafted(chain(len(tokens)), "backup", tuple(tokens))
            for tokens in (proposal[:lookahead] for proposal in proposals)
        ]
        span = self.open("speculate", rows, self.recorder.verifies, len(rows))
        span.tokens = sum(speculation.length for speculation in found)
        self.recorder.spans.append(span)
        for row in rows:
            row.work, row.text.ids = span, ()
        return self.env.event().succeed(found)

    def fork(self, rows: Sequence[Row], speculations: Sequence[Speculation]) -> Event:
        """Find the candidates after every node, in one pass (the "glue")."""
        blocks = tuple(speculation.tokens for speculation in speculations)
        answer = self.remote.ask(Fork, lines_of(rows), blocks=blocks)
        forked = self.env.process(self._forked(rows, speculations, answer))
        for row in rows:
            row.text.fork = forked
        return forked

    def prespeculate(
        self, rows: Sequence[Row], predictions: Sequence[frozenset[Outcome]], lookahead: int
    ) -> RealTree:
        """Start to draft `lookahead` tokens for every predicted outcome."""
        return RealTree(self, rows, predictions, lookahead)

    def branches_within(self, seconds: float, rows: Sequence[Row], lookahead: int) -> int:
        """Return how many branches a row can be drafted in `seconds`."""
        left = seconds - self.pace("glue", len(rows) * (lookahead + 1))
        fits = [
            branches
            for branches in range(1, self.most + 1)
            if lookahead * self.pace("tree", len(rows) * branches) <= left
        ]
        return max(fits, default=0)

    def search(self, row: Row, tokens: int) -> Event:
        """Refuse: the layers of a real draft are chosen before it is loaded."""
        raise NotImplementedError

    def speculate_seconds(self, rows: Sequence[Row], lookahead: int) -> float:
        """Return the seconds that `speculate` is expected to take."""
        return lookahead * self.step_seconds(rows)

    def step_seconds(self, rows: Sequence[Row]) -> float:
        """Return the seconds that one more token a row is expected to take."""
        return self.pace("step", len(rows))

    def _ran_on(
        self, known: Sequence[tuple[Row, list[Span], tuple[int, ...]]], span: Span, answer: Event
    ) -> Generator[Event, Any, int]:
        done = yield answer
        if done is None:
            return 0
        chains = done.value.rows
        self.close(span, done, sum(len(drafted.tokens) for drafted in chains))
        for (row, ahead, before), drafted in zip(known, chains, strict=True):
            take_up(row, ahead, before, drafted.tokens, span)
        return len(chains[0].tokens)

    def _speculated(
        self, rows: Sequence[Row], span: Span, speculator: Speculator, answer: Event
    ) -> Generator[Event, Any, list[Speculation]]:
        done = yield answer
        for row in rows:
            row.text.ids = ()
        if done is None:
            return [Drafted((), "none") for _ in rows]
        chains = done.value.rows
        self.close(span, done, sum(len(drafted.tokens) for drafted in chains))
        for row in rows:
            row.work = span
        return [drafted_from(found, speculator) for found in chains]

    def _forked(
        self, rows: Sequence[Row], speculations: Sequence[Speculation], answer: Event
    ) -> Generator[Event, Any, list[Speculation]]:
        done = yield answer
        self.forking = done
        if done is None:
            return list(speculations)
        for row, candidates in zip(rows, done.value.rows, strict=True):
            row.text.ids = candidates.ids
        return [
            replace(speculation, candidates=candidates.beliefs)
            for speculation, candidates in zip(speculations, done.value.rows, strict=True)
        ]
