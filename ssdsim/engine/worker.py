"""What simulated draft and target have in common: seconds of passes, spans on a lane, prefill."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from simpy import Event

from ssdsim.decoding.protocol import Row
from ssdsim.engine.lanes import Lane
from ssdsim.latency.base import Latency, Pass, reads_context
from ssdsim.latency.machine import Drawing
from ssdsim.run.tables import Span
from ssdsim.run.trace import Recorder


@dataclass(eq=False)
class Worker:
    """A model on a lane: knows the seconds of its passes and writes down its spans.

    Attributes
    ----------
    lane, latency, recorder, jitter
        Where it works, what its passes take, where that is written down, how it scatters.
    dispatch, drawing
        As `ssdsim.latency.machine.Machine` says.

    """

    lane: Lane
    latency: Latency
    recorder: Recorder
    jitter: Callable[[], float]
    dispatch: float
    drawing: Drawing

    def __post_init__(self) -> None:
        self.reads_context = reads_context(self.latency)
        self.seconds = lru_cache(maxsize=65536)(self.pass_seconds)

    def context(self, rows: Sequence[Row]) -> int:
        """Return the mean tokens in the rows' caches, rounded down; 0 where nothing reads it."""
        if not self.reads_context:
            return 0
        if len(rows) == 1:
            return rows[0].context
        return sum([row.context for row in rows]) // len(rows)

    def pass_seconds(self, work: Pass, batch: int, tokens: int, context: int) -> float:
        """Return the expected seconds of one pass, and of drawing tokens from what it says.

        `seconds` is the same, looked up.
        """
        return self.latency.seconds(work, batch, tokens, context) + self.drawn(work, tokens)

    def drawn(self, work: Pass, tokens: int) -> float:
        """Return the seconds of drawing from the distributions of a pass."""
        raise NotImplementedError

    def span(
        self,
        kind: str,
        rows: Sequence[Row],
        number: int,
        branches: int,
        tokens: int,
        lane: Lane | None = None,
    ) -> Span:
        """Open a span now, on its own lane unless another is said.

        `number` is the lock-step round for a batch, else the row's own.
        """
        lane, batch, seqs = lane or self.lane, len(rows), None
        now = lane.env.now
        if batch == 1:
            seq, number = rows[0].seq, rows[0].round
        else:
            seq, seqs = -1, [row.seq for row in rows]
        name, device = lane.name, lane.device
        span = Span(name, device, kind, seq, seqs, number, now, now, batch, branches, tokens)
        self.recorder.spans.append(span)
        return span

    def prefill_seconds(self, rows: Sequence[Row], tokens: int) -> float:
        """Return the expected seconds of a pass over these texts, so many tokens of them."""
        known = sum([row.known for row in rows]) if self.reads_context else 0
        context = known // len(rows)
        return self.seconds("prefill", len(rows), tokens, context)

    def prefill(self, rows: Sequence[Row]) -> Event:
        """Compute texts, prompts and what a preemption undid, but for what is in the caches."""
        tokens = sum([row.context - row.known for row in rows])
        seconds = self.prefill_seconds(rows, tokens)
        if not seconds:
            return self.lane.env.timeout(0.0)
        span = self.span("prefill", rows, self.recorder.verifies, 0, tokens)
        return self.lane.start(span, seconds * self.jitter(), delay=self.dispatch)
