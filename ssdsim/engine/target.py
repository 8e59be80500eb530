"""The simulated target: verifies end as the source says, and last as the latency model says."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import ceil

from simpy import Event, Process

from ssdsim.acceptance.base import Foretold, Source
from ssdsim.decoding.abilities import Prompts
from ssdsim.decoding.protocol import Row
from ssdsim.decoding.session import Wait
from ssdsim.engine.padding import Shape
from ssdsim.engine.worker import Worker
from ssdsim.latency.base import Pass
from ssdsim.latency.machine import Speaking
from ssdsim.lengths.base import Control
from ssdsim.outcomes import Outcome, Speculation
from ssdsim.trees.base import TokenTree
from ssdsim.trees.chain import Chain


@dataclass(eq=False)
class SimulatedTarget(Worker):
    """The target: what the source says comes true when the verify ends.

    `shape` is that of every verify; None: as its rows are. `tree` is what it will be given, as
    much of it as `length` leaves. `message` is the seconds to the draft of what it says in between,
    and `speaking` what that takes here; None: it never speaks.
    """

    source: Source
    shape: Shape | None
    tree: TokenTree = field(default_factory=Chain)
    length: Control = field(default_factory=lambda: Control(0))
    message: float = 0.0
    speaking: Speaking | None = None
    work: float = field(default=0.0, init=False)
    riding: Prompts | None = field(default=None, init=False)

    def admit(self, row: Row) -> None:
        """Give the row its text and its prompt, if it is new."""
        if row.text is not None:
            return
        row.text = self.source.text(row.seq)
        row.tokens = list(row.text.history)
        if row.tokens:
            row.context = row.record.prompt_tokens = len(row.tokens)

    def prefill_seconds(self, rows: Sequence[Row], tokens: int) -> float:
        """Return the expected seconds: what was decoded is read in verifies' one shape, if any."""
        if self.shape is None:
            return super().prefill_seconds(rows, tokens)
        slots, width, _ = self.shape
        passes = ceil(max([row.record.tokens for row in rows]) / (width // slots))
        prompts = sum([max(0, row.context - row.record.tokens - row.known) for row in rows])
        again = passes * self.latency.seconds("verify", *self.shape)
        return self.seconds("prefill", len(rows), prompts, 0) + again

    def preempt(self, row: Row) -> None:
        """Do nothing: what is in the cache is only counted."""

    def undrafted(self, row: Row) -> Speculation:
        """Return an empty speculation."""
        empty: Speculation = row.text.speculate(0, "none")
        return empty

    def guess(self, row: Row, length: int, seen: int) -> Speculation:
        """Return its guesses in a block of Jacobi iteration; see `acceptance.base.Text.guess`."""
        guesses: Speculation = row.text.guess(length, seen)
        return guesses

    def streamed(self, row: Row, length: int) -> Speculation:
        """Return what the streams beside its last pass drafted."""
        drafted: Speculation = row.text.speculate(length, "primary")
        return drafted

    def verify(
        self, rows: Sequence[Row], speculations: Sequence[Speculation], beside: int = 0
    ) -> Event:
        """Verify a speculation a row in one pass; the value is a list of outcomes."""
        tokens, truths = len(rows) * (1 + beside), []
        for speculation in speculations:
            tokens += len(speculation.parents)
            truths.append(speculation.truth)
        if self.riding is not None:
            return self._mixed(rows, tokens, truths)
        context = self.context(rows) if self.reads_context else 0
        self.work = self.seconds("verify", len(rows), tokens, context) * self.jitter()
        span = self.span("verify", rows, self.recorder.verifies, 0, tokens)
        self.recorder.verifies += 1
        return self.lane.start(span, self.work, truths, self.dispatch)

    def carry(self, prompts: Prompts) -> None:
        """Compute these prompt tokens in the pass of the next verify."""
        self.riding = prompts

    def read(self, prompts: Prompts) -> Event:
        """Compute these prompt tokens in a pass of their own."""
        self.riding, rows = None, prompts.rows
        context = sum(prompts.cached) // len(rows) if self.reads_context else 0
        seconds = self.seconds("prefill", len(rows), prompts.tokens, context) * self.jitter()
        span = self.span("prefill", rows, self.recorder.verifies, 0, prompts.tokens)
        return _ending(self.lane.start(span, seconds, delay=self.dispatch), prompts)

    def _mixed(self, rows: Sequence[Row], tokens: int, truths: list[Outcome | None]) -> Event:
        """Verify in a pass that computes prompt tokens too: a longer verify of more rows."""
        prompts = self.riding
        assert prompts is not None
        self.riding, more = None, prompts.tokens
        batch, context = len(rows) + len(prompts.rows), 0
        if self.reads_context:
            context = (sum(row.context for row in rows) + sum(prompts.cached)) // batch
        seconds = self.seconds("verify", batch, tokens + more, context)
        seconds -= more * self.drawing.target_token  # nothing is drawn behind a prompt's tokens
        self.work = seconds * self.jitter()
        span = self.span("verify", rows, self.recorder.verifies, 0, tokens + more)
        span.used += more
        self.recorder.verifies += 1
        return _ending(self.lane.start(span, self.work, truths, self.dispatch), prompts)

    def speak(
        self, rows: Sequence[Row], speculations: Sequence[Speculation], share: float
    ) -> Event:
        """Tell the draft what it takes for likely once this share of the verify is done."""
        said = [
            replace(speculation, early=row.text.early(speculation))
            if isinstance(row.text, Foretold) and isinstance(self.tree, Chain)
            else speculation
            for row, speculation in zip(rows, speculations, strict=True)
        ]
        spoken = self.lane.reach(self._after(share, self.work), said, self.dispatch)
        return _after(spoken, self.message) if self.message else spoken

    def spoken_seconds(self, rows: Sequence[Row], lookahead: int, share: float) -> float:
        """Return after how many seconds of a verify it is expected to speak."""
        return self._after(share, self.verify_seconds(rows, lookahead))

    def _after(self, share: float, verify: float) -> float:
        """Return after how many seconds of a verify of so many it speaks."""
        return share * verify if self.speaking is None else self.speaking.after(share, verify)

    def cancel(self) -> None:
        """Give up the verify in flight."""
        self.lane.cancel()

    def commit(self, row: Row, speculation: Speculation, delivered: int) -> Sequence[int]:
        """Let the text grow."""
        if self.lane.span is not None:
            self.lane.span.used += delivered
        ids: Sequence[int] = row.text.commit(speculation, delivered)
        return ids

    def relax(
        self, row: Row, hypothesis: Speculation, passes: Callable[[], bool]
    ) -> tuple[int, int]:
        """Accept a draft of all that is left; `passes` decides on tokens unlike its own."""
        left, wrong = row.left, 0
        while (right := min(_true(hypothesis).node, left)) < left and passes():
            row.text.commit(hypothesis, right + 1)
            left, wrong = left - right - 1, wrong + 1
            hypothesis = row.text.speculate(left, "primary")
        row.text.commit(hypothesis, right)
        return row.left - left + right, wrong

    def used(self, tokens: int) -> None:
        """Count tokens of the last pass as delivered."""
        if self.lane.span is not None:
            self.lane.span.used += tokens

    def verify_seconds(self, rows: Sequence[Row], lookahead: int) -> float:
        """Return the seconds a verify of `lookahead` levels a row is expected to take."""
        nodes = self.length.within(self.tree).nodes(lookahead)
        return self.verify_seconds_of(rows, len(rows) * (nodes + 1))

    def verify_seconds_of(self, rows: Sequence[Row], tokens: int) -> float:
        """Return the seconds a verify of so many tokens is expected to take."""
        return self.seconds("verify", len(rows), tokens, self.context(rows))

    def pass_seconds(self, work: Pass, batch: int, tokens: int, context: int) -> float:
        """Return the expected seconds of one pass, whatever its shape where verifies have one."""
        if work != "verify" or self.shape is None:
            return super().pass_seconds(work, batch, tokens, context)
        return self.latency.seconds(work, *self.shape) + self.drawn(work, tokens)

    def drawn(self, work: Pass, tokens: int) -> float:
        """Return the seconds of drawing a token after every token verified, and of speaking."""
        if work != "verify":
            return 0.0
        longer = 0.0 if self.speaking is None else self.speaking.longer
        return longer + self.drawing.target + tokens * self.drawing.target_token


def _ending(event: Event, prompts: Prompts) -> Event:
    """Let the prompts be computed when a pass ends, before anybody else hears of it."""
    assert event.callbacks is not None
    event.callbacks.append(lambda _: prompts.computed())
    return event


def _after(event: Event, seconds: float) -> Event:
    """Return what happens so many seconds after `event`, with its value."""
    env = event.env

    def wait() -> Wait:
        value = yield event
        yield env.timeout(seconds)
        return value

    return Process(env, wait())


def _true(speculation: Speculation) -> Outcome:
    assert speculation.truth is not None, "a simulation knows how a verification ends"
    return speculation.truth
