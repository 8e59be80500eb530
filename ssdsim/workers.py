"""Simulated draft and target: a source says what happens, a machine how long it takes."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import inf

from simpy import Event

from ssdsim.acceptance.base import Sampling, Source
from ssdsim.errors import ConfigError
from ssdsim.lanes import Lane
from ssdsim.latency.base import Latency, Pass
from ssdsim.lengths.base import Control, Stopping
from ssdsim.machine import Drawing, Machine
from ssdsim.outcomes import Outcome, Speculation, Speculator
from ssdsim.padding import Shape
from ssdsim.protocol import Row
from ssdsim.trace import Recorder, Span
from ssdsim.tree import SimulatedTree


@dataclass(eq=False)
class Worker:
    """A model on a lane: knows the seconds of its passes and writes down its spans.

    Attributes
    ----------
    lane, latency, recorder, jitter
        Where it works, what its passes take, where that is written down, how it scatters.
    dispatch, drawing
        As `ssdsim.machine.Machine` says.

    """

    lane: Lane
    latency: Latency
    recorder: Recorder
    jitter: Callable[[], float]
    dispatch: float
    drawing: Drawing

    def __post_init__(self) -> None:
        self.seconds = lru_cache(maxsize=65536)(self.latency.seconds)

    def expected(self, work: Pass, rows: Sequence[Row], tokens: int) -> float:
        """Return the expected seconds of one pass over `tokens` tokens of these rows."""
        batch = len(rows)
        context = rows[0].context if batch == 1 else sum(row.context for row in rows) // batch
        return self.seconds(work, batch, tokens, context)

    def span(self, kind: str, rows: Sequence[Row], number: int, branches: int, tokens: int) -> Span:
        """Open a span now; `number` is the lock-step round for a batch, else the row's own."""
        row, batch, now = rows[0], len(rows), self.lane.env.now
        alone = batch == 1
        span = Span(
            lane=self.lane.name,
            device=self.lane.device,
            kind=kind,
            seq=row.record.seq if alone else -1,
            seqs=None if alone else [row.record.seq for row in rows],
            round=row.round if alone else number,
            start=now,
            end=now,
            batch=batch,
            branches=branches,
            tokens=tokens,
        )
        self.recorder.spans.append(span)
        return span

    def prefill(self, rows: Sequence[Row]) -> Event:
        """Compute the prompts in one pass."""
        tokens = sum(row.record.prompt_tokens for row in rows)
        seconds = self.seconds("prefill", len(rows), tokens, 0)
        if not seconds:
            return self.lane.env.timeout(0.0)
        span = self.span("prefill", rows, self.recorder.verifies, 0, tokens)
        return self.lane.start(span, seconds * self.jitter(), delay=self.dispatch)


@dataclass(eq=False)
class SimulatedTarget(Worker):
    """The target: what the source says comes true when the verify ends.

    `shape` is that of every verify; None: as its rows are.
    """

    source: Source
    shape: Shape | None

    def admit(self, row: Row) -> None:
        """Give the row its text and its prompt."""
        row.text = self.source.text(row.seq)
        row.tokens = list(row.text.history)
        if row.tokens:
            row.context = row.record.prompt_tokens = len(row.tokens)

    def undrafted(self, row: Row) -> Speculation:
        """Return an empty speculation."""
        empty: Speculation = row.text.speculate(0, "none")
        return empty

    def verify(self, rows: Sequence[Row], speculations: Sequence[Speculation]) -> Event:
        """Verify a speculation a row in one pass; the value is a list of outcomes."""
        tokens = len(rows)
        for speculation in speculations:
            tokens += len(speculation.parents)
        seconds = self._verify_seconds(rows, tokens) * self.jitter()
        span = self.span("verify", rows, self.recorder.verifies, 0, tokens)
        self.recorder.verifies += 1
        truths = [speculation.truth for speculation in speculations]
        return self.lane.start(span, seconds, truths, self.dispatch)

    def commit(self, row: Row, speculation: Speculation, delivered: int) -> Sequence[int]:
        """Let the text grow."""
        if self.lane.span is not None:
            self.lane.span.used += delivered
        ids: Sequence[int] = row.text.commit(speculation, delivered)
        return ids

    def verify_seconds(self, rows: Sequence[Row], lookahead: int) -> float:
        """Return the seconds a verify of `lookahead` tokens a row is expected to take."""
        return self._verify_seconds(rows, len(rows) * (lookahead + 1))

    def _verify_seconds(self, rows: Sequence[Row], tokens: int) -> float:
        drawn = self.drawing.target + tokens * self.drawing.target_token
        if self.shape is not None:
            return self.seconds("verify", *self.shape) + drawn
        return self.expected("verify", rows, tokens) + drawn


@dataclass(eq=False)
class SimulatedDraft(Worker):
    """The draft: contents come from the rows' texts when they are needed, time passes here.

    `length` says when a chain ends before its limit; `lengths` counts those that could have.
    """

    vocabulary: int | None
    exchange_seconds: Callable[[int], float]
    length: Control
    lengths: Counter[int] = field(default_factory=Counter)

    def exchange(self, rows: Sequence[Row], lookahead: int) -> Event | None:
        """Spend the time on the link and on looking outcomes up."""
        seconds = self.exchange_seconds(len(rows) * lookahead)
        if not seconds:
            return None
        span = self.span("transfer", rows, self.recorder.verifies, 0, 0)
        span.lane = span.device = "link"
        span.end = span.start + seconds
        return self.lane.env.timeout(seconds)

    def speculate(self, rows: Sequence[Row], lookahead: int, speculator: Speculator) -> Event:
        """Draft at most `lookahead` tokens a row in series; rows that stop wait for the others."""
        stopping = self.length.stopping(lookahead)
        found = [self.drafted(row, lookahead, speculator, stopping) for row in rows]
        steps = max(speculation.length for speculation in found)
        seconds = self.speculate_seconds(rows, steps) * self.jitter()
        return self._work(rows, found, seconds, self.dispatch)

    def drafted(
        self, row: Row, lookahead: int, speculator: Speculator, stopping: Stopping
    ) -> Speculation:
        """Return what the draft makes of a row's text, up to the token that ends the chain."""
        whole: Speculation = row.text.speculate(lookahead, speculator)
        if not stopping.early:
            return whole
        kept = stopping.cut(whole)
        self.lengths[kept] += 1
        return whole if kept == whole.length else row.text.speculate(kept, speculator)

    def share_beyond(self, step: int) -> float:
        """Return the share of chains that were longer, among all that could have ended early."""
        longer = sum(count for length, count in self.lengths.items() if length > step)
        return longer / self.lengths.total() if self.lengths else 1.0

    def adopt(
        self,
        rows: Sequence[Row],
        proposals: Sequence[Sequence[int]],
        lookahead: int,
        seconds: float,
    ) -> Event:
        """Take a proposal a row that cost `seconds`."""
        found = [
            row.text.propose(proposal, lookahead)
            for row, proposal in zip(rows, proposals, strict=True)
        ]
        return self._work(rows, found, seconds, 0.0)  # nobody is sent a message

    def fork(self, rows: Sequence[Row], speculations: Sequence[Speculation]) -> Event:  # noqa: ARG002 - it asks nobody
        """Return the speculations: their source knew the candidates; the tree pays for the glue."""
        return self.lane.env.event().succeed(speculations)

    def prespeculate(
        self, rows: Sequence[Row], predictions: Sequence[frozenset[Outcome]], lookahead: int
    ) -> SimulatedTree:
        """Start to draft `lookahead` tokens for every predicted outcome."""
        return SimulatedTree(self, rows, sum(map(len, predictions)), lookahead)

    def search(self, row: Row, tokens: int) -> Event:
        """Run the draft over `tokens` tokens of a row's text at once."""
        seconds = self.seconds("glue", 1, tokens, row.context) * self.jitter()
        span = self.span("search", [row], row.round, 0, tokens)
        return self.lane.start(span, seconds, delay=self.dispatch)

    def speculate_seconds(self, rows: Sequence[Row], lookahead: int) -> float:
        """Return the seconds of `lookahead` steps, and of the pass that fills the cache."""
        step = self.expected("step", rows, len(rows)) + self._drawn(len(rows))
        return lookahead * step + self.expected("fill", rows, len(rows))

    def tree_seconds(self, rows: Sequence[Row], branches: int) -> float:
        """Return the expected seconds of one step over `branches` branches, all rows together."""
        return self.expected("tree", rows, branches) + self._drawn(branches)

    def glue_seconds(self, rows: Sequence[Row]) -> float:
        """Return the expected seconds of the pass that gives the candidates at every node."""
        tokens = len(rows)
        for row in rows:
            tokens += len(row.cached.parents) if row.cached else 0
        return self.expected("glue", rows, tokens) + self._drawn(tokens)

    def branches_within(self, seconds: float, rows: Sequence[Row], lookahead: int) -> int:
        """Return the most branches a row (at most 1024) whose tree takes no more than `seconds`."""
        left = seconds - self.glue_seconds(rows) - self.dispatch
        left *= 1 + 1e-9  # sums of floats may miss by an ulp
        low, high = 0, 1024
        while low < high:
            middle = (low + high + 1) // 2
            fits = lookahead * self._known_seconds(rows, middle * len(rows)) <= left
            low, high = (middle, high) if fits else (low, middle - 1)
        return low

    def _known_seconds(self, rows: Sequence[Row], branches: int) -> float:
        """Return the seconds of a tree step; without end where no measurement goes that far."""
        try:
            return self.tree_seconds(rows, branches)
        except ConfigError:
            return inf

    def _drawn(self, distributions: int) -> float:
        return self.drawing.draft + distributions * self.drawing.draft_token

    def _work(
        self, rows: Sequence[Row], found: list[Speculation], seconds: float, delay: float
    ) -> Event:
        tokens = sum(len(speculation.parents) for speculation in found)
        span = self.span("speculate", rows, self.recorder.verifies, len(rows), tokens)
        for row in rows:
            row.work = span
        return self.lane.start(span, seconds, found, delay)


def exchange_seconds(
    machine: Machine, sampling: Sampling, draft_on: str | None
) -> Callable[[int], float]:
    """Return the seconds for an exchange about so many tokens: none on the same devices."""
    if draft_on != "own":
        return lambda _: 0.0
    return lambda tokens: machine.serve + machine.link.exchange(tokens, sampling)
