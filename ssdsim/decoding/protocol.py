"""The protocols of draft and target, simulated or real, as decoding methods use them.

Every question is answered by an event whose value is the answer, so a method reads the same on
both clocks. Rows are the live sequences; rows of a batch become ragged after the first round.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from simpy import Event

from ssdsim.decoding.branch import Branch
from ssdsim.outcomes import Outcome, Speculation, Speculator
from ssdsim.run.tables import Sequence as SequenceRecord
from ssdsim.run.tables import Span


@dataclass(slots=True, eq=False)
class Row:
    """A live sequence.

    Attributes
    ----------
    record
        Its row of `sequences.parquet`.
    seq
        The sequence's number.
    left
        Tokens still to deliver.
    context
        Prompt and committed tokens, counted.
    tokens
        Prompt and committed token ids; empty where there are none.
    ends
        Token ids that end the sequence.
    round
        Rounds ended so far.
    ready
        When it last had nothing in flight, seconds.
    outcome
        How the last verify ended.
    cached
        The speculation the next verify takes, once known.
    hit
        Whether that speculation came from the speculation cache; None: nothing was predicted.
    predicted
        Outcomes prepared during the round in flight.
    work
        The draft's span that `cached` came from.
    ahead
        Where the draft goes on without waiting: for every token that it has drafted past the
        committed ones, the span that computed it. A rejection begins a new list.
    text
        The workers' own view of the sequence.
    step
        The training step of the workload that it belongs to.
    prefix
        Ids of its prompt's blocks from the start, where they are known.
    prefix_tokens
        Tokens of each of those blocks.
    known
        How many tokens from its start were in the caches when it was admitted.
    read
        Whether the cache of all its tokens was handed over to the target.

    """

    record: SequenceRecord
    left: int
    context: int
    ready: float
    tokens: list[int] = field(default_factory=list)
    ends: frozenset[int] = frozenset()
    round: int = 0
    outcome: Outcome | None = None
    cached: Speculation | None = None
    hit: bool | None = None
    predicted: int = 0
    work: Span | None = None
    ahead: list[Span] = field(default_factory=list)
    text: Any = None
    step: int = 0
    prefix: tuple[int, ...] = ()
    prefix_tokens: int = 512
    known: int = 0
    read: bool = False
    seq: int = field(init=False)

    def __post_init__(self) -> None:
        self.seq = self.record.seq

    @property
    def ended(self) -> bool:
        """Whether the last token is one that ends the sequence."""
        return bool(self.tokens) and self.tokens[-1] in self.ends

    def grow(self, ahead: list[Span], span: Span, start: int, length: int) -> None:
        """Take up `length` tokens from `start` on (counted as `context` is) that `span` drafted.

        `ahead` is what they were to follow. Some may be committed by now; if that list is not the
        row's any more, the draft has gone wrong before them.
        """
        if ahead is not self.ahead:
            return
        committed = min(max(self.context - start, 0), length)
        span.used += committed
        ahead += [span] * (length - committed)

    def drop(self) -> None:
        """Have nothing in the caches any more: no tokens, no drafts and no predictions."""
        self.read = False
        self.cached = self.hit = self.work = self.outcome = None
        self.predicted = 0
        self.ahead = []

    def advance(
        self, delivered: int, ids: Sequence[int], now: float, continued: bool = False
    ) -> None:
        """Take up a round's tokens, and have nothing in flight any more.

        `continued` says that the draft, which went on meanwhile, was right about all of them.
        """
        record = self.record
        record.tokens += delivered
        if record.first_token is None:
            record.first_token = now
        if self.work is not None:
            self.work.used += delivered - 1
        if self.ahead:
            right = self.ahead[: delivered if continued else delivered - 1]
            for span in right:
                span.used += 1
            del self.ahead[: len(right)]
        if not continued:
            self.ahead = []
        self.left -= delivered
        self.context += delivered
        if ids:
            self.tokens.extend(ids)
            record.output = record.output or []
            record.output.extend(ids)
            self.left = 0 if self.ended else self.left
        self.round += 1
        self.ready = now
        self.cached = self.hit = self.work = None


class Target(Protocol):
    """The target model on its devices."""

    def admit(self, row: Row) -> None:
        """Take up a sequence before its prefill: fill in its prompt, where it is a new one."""
        ...

    def preempt(self, row: Row) -> None:
        """Have nothing of a sequence in the cache any more; it is admitted again later."""
        ...

    def prefill(self, rows: Sequence[Row]) -> Event:
        """Compute the prompts."""
        ...

    def undrafted(self, row: Row) -> Speculation:
        """Return an empty speculation, for decoding without a draft."""
        ...

    def verify(self, rows: Sequence[Row], speculations: Sequence[Speculation]) -> Event:
        """Verify a speculation a row in one pass; the value is a list of outcomes."""
        ...

    def commit(self, row: Row, speculation: Speculation, delivered: int) -> Sequence[int]:
        """Keep the first `delivered` tokens of accepted + bonus; return their ids if known.

        Fewer ids come back where one of them ends the sequence: it is the last.
        """
        ...

    def verify_seconds(self, rows: Sequence[Row], lookahead: int) -> float:
        """Return the seconds a verify of `lookahead` tokens a row is expected to take."""
        ...

    def verify_seconds_of(self, rows: Sequence[Row], tokens: int) -> float:
        """Return the seconds a verify of so many tokens, all rows together, is expected to take."""
        ...


class Tree(Protocol):
    """Branches being drafted while the target verifies, one a predicted outcome.

    What is to be waited for is an event, or None where nothing is.
    """

    def wait(self, winners: Sequence[Row]) -> Event | None:
        """Finish every branch."""
        ...

    def prune(self, winners: Sequence[Row]) -> Event | None:
        """Drop all branches but the winning row's; finish those. Without winners, stop."""
        ...

    def truncate(self, winners: Sequence[Row]) -> Event | None:
        """Stop after the step in flight (the first, at least, if there is a winner)."""
        ...

    def take(self, row: Row) -> Speculation:
        """Return the speculation of the branch that `row`'s outcome chose."""
        ...

    def branch(self, seq: int, outcome: Outcome) -> Branch:
        """Return what became of a sequence's predicted outcome; asked when all is over."""
        ...


class Draft(Protocol):
    """The draft model on its device."""

    @property
    def vocabulary(self) -> int | None:
        """Number of token ids; None where there are none."""
        ...

    def prefill(self, rows: Sequence[Row]) -> Event:
        """Compute the prompts."""
        ...

    def exchange(self, rows: Sequence[Row], lookahead: int) -> Event | None:
        """Send outcomes to the draft and speculations back; None if it takes no time."""
        ...

    def exchange_seconds(self, rows: Sequence[Row], lookahead: int) -> float:
        """Return the seconds `exchange` takes."""
        ...

    def speculate(self, rows: Sequence[Row], lookahead: int, speculator: Speculator) -> Event:
        """Draft `lookahead` tokens a row in series; the value is a list of speculations."""
        ...

    def run_on(self, rows: Sequence[Row], length: int) -> Event:
        """Draft `length` more tokens a row past all that it has: they end up in `Row.ahead`.

        The value is how many there were: 0 if the draft is lost.
        """
        ...

    def ahead(self, row: Row, length: int, start: int = 0) -> Speculation:
        """Return `length` tokens that the draft has past the committed ones and `start` more."""
        ...

    def continued(self, row: Row, speculation: Speculation) -> bool:
        """Tell whether nothing that a verified speculation came to parts with what is ahead."""
        ...

    def adopt(
        self,
        rows: Sequence[Row],
        proposals: Sequence[Sequence[int]],
        lookahead: int,
        seconds: float,
    ) -> Event:
        """Take a proposal a row that cost `seconds`; the value is a list of speculations."""
        ...

    def fork(self, rows: Sequence[Row], speculations: Sequence[Speculation]) -> Event | None:
        """Find the candidates after every node; the value is the speculations with theirs.

        None if they are known already, or not at all.
        """
        ...

    def prespeculate(
        self, rows: Sequence[Row], predictions: Sequence[frozenset[Outcome]], lookahead: int
    ) -> Tree:
        """Start to draft `lookahead` tokens for every predicted outcome."""
        ...

    def branches_within(self, seconds: float, rows: Sequence[Row], lookahead: int) -> int:
        """Return how many branches a row can be drafted in `seconds`."""
        ...

    def speculate_seconds(self, rows: Sequence[Row], lookahead: int) -> float:
        """Return the seconds `speculate` is expected to take."""
        ...

    def step_seconds(self, rows: Sequence[Row]) -> float:
        """Return the seconds one more token a row is expected to take."""
        ...
