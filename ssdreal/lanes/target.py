"""The target as a method sees it: a proxy of the target's worker process."""

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from simpy import Event

from ssdreal.channel.message_parts import Block, Line
from ssdreal.channel.messages import Decode, Decoded, Done, Verify
from ssdreal.lanes.base import Part, Worker
from ssdreal.lanes.speculations import Drafted, Text, lines_of, rank_in, said_of
from ssdsim.decoding.protocol import Row
from ssdsim.outcomes import Outcome, Speculation
from ssdsim.run.tables import Span
from ssdsim.trees.base import TokenTree
from ssdsim.trees.chain import Chain


class OwnRound(NamedTuple):
    """A round of a target that decodes alone.

    Attributes
    ----------
    tokens
        One a row.
    start, end
        When its pass was under way (ns).
    part
        What its worker did then.

    """

    tokens: tuple[int, ...]
    start: int
    end: int
    part: Part


def own_rounds(done: Done) -> Iterator[OwnRound]:
    """Yield the rounds that a worker was told to decode at once."""
    decoded = done.value
    assert isinstance(decoded, Decoded)
    starts = (done.start, *decoded.ends[:-1])
    rounds = zip(zip(*decoded.rows, strict=True), starts, decoded.ends, strict=True)
    for lap, (tokens, start, end) in enumerate(rounds):
        yield OwnRound(tokens, start, end, (done.stamp.number, lap))


@dataclass(eq=False)
class RealTarget(Worker):
    """The target.

    Attributes
    ----------
    prompts
        Token ids of every sequence's prompt.
    ends
        Token ids that end a sequence.
    tree
        What it verifies.
    free
        Slots that no row has.
    together
        Tokens of its own that it may be told to decode in one command: more than one where there
        is no draft, and nothing else to wait for.
    coming
        Rounds that its worker has decoded, and that are yet to be taken up.
    onward
        The answer with those after them; None: nobody has asked for any.
    speaks
        Whether its worker speaks in mid-verify.
    spoken
        What it says in the verify in flight, or the last one.
    shares
        Of every verify in which it spoke, the share after which it did.

    """

    prompts: Sequence[Sequence[int]] = ()
    ends: frozenset[int] = frozenset()
    tree: TokenTree = field(default_factory=Chain)
    free: list[int] = field(default_factory=list)
    together: int = 1
    coming: deque[OwnRound] = field(default_factory=deque)
    onward: Event | None = None
    verified: Span | None = None
    speaks: bool = False
    spoken: Event | None = None
    shares: list[float] = field(default_factory=list)

    def admit(self, row: Row) -> None:
        """Give the row a slot, and if it is new its prompt."""
        self.free.sort()
        row.text = Text(self.free.pop(0))
        if not row.tokens:
            row.tokens = list(self.prompts[row.seq])
            row.context = row.record.prompt_tokens = len(row.tokens)
            row.ends = self.ends

    def preempt(self, row: Row) -> None:
        """Let others have the row's slot."""
        self.free.append(row.text.slot)

    def undrafted(self, row: Row) -> Speculation:
        """Return an empty speculation."""
        row.text.ids = ()
        return Drafted((), "none")

    def verify(self, rows: Sequence[Row], speculations: Sequence[Speculation]) -> Event:
        """Verify a speculation a row in one pass; the value is a list of outcomes."""
        if self.together > 1:
            return self.env.process(self._decoded(rows))
        trees = not isinstance(self.tree, Chain)
        blocks = tuple(
            Block(s.tokens, getattr(s, "place", None), s.parents if trees else ())
            for s in speculations
        )
        answer = self.remote.ask(Verify, lines_of(rows), blocks=blocks)
        self.spoken = self._heard(rows) if self.speaks else None
        span = self.open("verify", rows, self.recorder.verifies)
        span.tokens = len(rows) + sum(len(block.tokens) for block in blocks)
        self.recorder.verifies += 1
        return self.env.process(self._outcomes(rows, span, answer))

    def speak(
        self,
        rows: Sequence[Row],
        speculations: Sequence[Speculation],
        share: float,  # noqa: ARG002 - which layer speaks was settled when the run began
    ) -> Event:
        """Tell the draft what it takes for likely, in the midst of the verify in flight.

        The value is the speculations with their `early`. Where it does not speak, that never is.
        """
        if self.spoken is None:
            return self.env.event()
        return self.env.process(self._told(rows, speculations, self.spoken))

    def spoken_seconds(self, rows: Sequence[Row], lookahead: int, share: float) -> float:
        """Return after how many seconds of a verify the target is expected to speak."""
        tokens = len(rows) * (self.tree.nodes(lookahead) + 1)
        return self.pace("exit", tokens) or share * self.verify_seconds_of(rows, tokens)

    def commit(self, row: Row, speculation: Speculation, delivered: int) -> Sequence[int]:
        """Return the tokens that the row keeps, up to the first that ends it."""
        node, bonus = row.text.outcome
        ids = (*(speculation.tokens[at - 1] for at in speculation.path_to(node)), bonus)[:delivered]
        last = next((at for at, token in enumerate(ids) if token in row.ends), len(ids))
        ids = ids[: last + 1]
        if self.verified is not None:
            self.verified.used += len(ids)
        if len(ids) == row.left or ids[-1] in row.ends:
            self.free.append(row.text.slot)
        return ids

    def verify_seconds(self, rows: Sequence[Row], lookahead: int) -> float:
        """Return the seconds that a verify of these rows is expected to take."""
        return self.verify_seconds_of(rows, len(rows) * (self.tree.nodes(lookahead) + 1))

    def verify_seconds_of(self, rows: Sequence[Row], tokens: int) -> float:  # noqa: ARG002 - their tokens tell
        """Return the seconds that a verify of so many tokens is expected to take."""
        return self.pace("verify", tokens)

    def _decoded(self, rows: Sequence[Row]) -> Generator[Event, Any, list[Outcome]]:
        """Take up the next token of every row, at its own time.

        Its worker goes on while those that it has decoded are taken up.
        """
        span = self.open("verify", rows, self.recorder.verifies)
        span.tokens = len(rows)
        self.recorder.verifies += 1
        if self.coming:
            yield self.env.timeout(max(0.0, self.env.seconds(self.coming[0].end) - self.env.now))
        else:
            done = yield self.onward or self._decode(rows, self._sure(rows))
            self.coming += own_rounds(done)
            more = self._sure(rows)
            self.onward = self._decode(rows, more) if more else None
            self.env.rewind(self.coming[0].end)
        own = self.coming.popleft()
        self.write(span, (own.start, own.end), own.part, own.part)
        self.verified = span
        for row, token in zip(rows, own.tokens, strict=True):
            row.text.outcome = 0, token
        return [Outcome(0, -1) for _ in rows]

    def _sure(self, rows: Sequence[Row]) -> int:
        """Return how many tokens past those that are coming every row is sure to need."""
        if any(row.ends for row in rows):
            return 1 - len(self.coming)
        return min(self.together, *(row.left - len(self.coming) for row in rows))

    def _decode(self, rows: Sequence[Row], count: int) -> Event:
        """Ask for so many tokens past those that are coming."""
        lines = tuple(
            Line(row.seq, row.round + len(self.coming), row.text.slot, (*row.tokens, *ahead))
            for row, ahead in zip(rows, self._ahead(len(rows)), strict=True)
        )
        return self.remote.ask(Decode, lines, tokens=count)

    def _ahead(self, rows: int) -> list[tuple[int, ...]]:
        """Return the tokens of each row that are coming."""
        return list(zip(*(own.tokens for own in self.coming), strict=True)) or [()] * rows

    def _heard(self, rows: Sequence[Row]) -> Event:
        """Return what the worker says in the verify that it was just asked for."""
        spoken, number = self.remote.hear(), self.recorder.verifies
        assert spoken.callbacks is not None, "it cannot have spoken yet"
        spoken.callbacks.append(lambda event: self._arrived(rows, number, event.value.at))
        return spoken

    def _arrived(self, rows: Sequence[Row], number: int, at: int) -> None:
        """Write down when it spoke (ns), and that this has arrived."""
        span = self.open("transfer", rows, number)
        span.lane = span.device = "link"
        span.start = self.env.seconds(at)
        self.recorder.spans.append(span)

    def _told(
        self, rows: Sequence[Row], speculations: Sequence[Speculation], spoken: Event
    ) -> Generator[Event, Any, list[Speculation]]:
        heard = yield spoken
        if not any(row.text.ids for row in rows):
            yield self.env.event()  # the draft is lost: nobody is there to hear it
        return [
            said_of(row.text, speculation, view)
            for row, speculation, view in zip(rows, speculations, heard.rows, strict=True)
        ]

    def _outcomes(
        self, rows: Sequence[Row], span: Span, answer: Event
    ) -> Generator[Event, Any, list[Outcome]]:
        done = yield answer
        self.close(span, done, span.tokens)
        self.verified = span
        if self.spoken is not None and self.spoken.triggered:
            spoken: Any = self.spoken.value
            self.shares.append((spoken.at - done.start) / (done.end - done.start))
        for row, outcome in zip(rows, done.value.outcomes, strict=True):
            row.text.outcome = outcome
            if row.text.fork is not None:
                yield row.text.fork  # a bonus token is named by its rank among the candidates
        return [Outcome(row.text.outcome[0], rank_in(row.text)) for row in rows]
