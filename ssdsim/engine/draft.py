"""The simulated draft: tokens come from the acceptance source, seconds from the latency model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from simpy import Event

from ssdsim.decoding.protocol import Row
from ssdsim.engine.draft_passes import DraftPasses
from ssdsim.engine.lanes import Lane
from ssdsim.engine.speculation_cache import SimulatedTree
from ssdsim.latency.machine import Link, Machine
from ssdsim.outcomes import Speculation, Speculator, tail
from ssdsim.run.tables import Span
from ssdsim.sampling.settings import Sampling


@dataclass(eq=False)
class SimulatedDraft(DraftPasses):
    """The draft: contents come from the rows' texts when they are needed, time passes here.

    Attributes
    ----------
    vocabulary
        Token ids there are; None where the source has none.
    sending
        Seconds of an exchange about so many tokens; None where it never takes time.

    """

    vocabulary: int | None
    sending: Callable[[int], float] | None
    pace: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.proposals: dict[int, Speculation] = {}
        link = self.lane.name.replace("draft", "link")  # of several drafts each has its own
        self.link = Lane(self.lane.env, link, link)
        self.prespeculate: partial[Any] = partial(SimulatedTree, self)
        self.exchanging = lru_cache(maxsize=65536)(self._exchanging)

    def exchange(self, rows: Sequence[Row], lookahead: int) -> Event | None:
        """Spend the time on the link and on looking outcomes up."""
        if self.sending is None:
            return None
        seconds = self.exchanging(self.length.nodes, len(rows), lookahead)
        if not seconds:
            return None
        span = self.span("transfer", rows, self.recorder.verifies, 0, 0, self.link)
        span.end += seconds
        return self.lane.env.timeout(seconds)

    def exchange_seconds(self, rows: Sequence[Row], lookahead: int) -> float:
        """Return the seconds `exchange` takes."""
        if self.sending is None:
            return 0.0
        return self.exchanging(self.length.nodes, len(rows), lookahead)

    def _exchanging(self, nodes: int | None, rows: int, lookahead: int) -> float:  # noqa: ARG002 - part of the key
        assert self.sending is not None
        return self.sending(rows * self.levels(lookahead).nodes)

    def speculate(self, rows: Sequence[Row], lookahead: int, speculator: Speculator) -> Event:
        """Draft at most `lookahead` tokens a row in series, or as many levels of a tree.

        Rows that stop wait for the others.
        """
        tree = self.levels(lookahead).tree
        if self.stops:
            stopping = self.length.stopping(lookahead)
            found = [self.drafted(row, tree, lookahead, speculator, stopping) for row in rows]
            if stopping.early:
                lookahead = max(speculation.length for speculation in found)
        else:
            found = [tree.speculate(row.text, lookahead, speculator) for row in rows]
        seconds = self.speculate_seconds(rows, lookahead) * self.jitter()
        return self._work(rows, found, seconds, self.dispatch)

    def nodes(self, levels: int) -> int:
        """Return the tokens of a speculation of so many levels."""
        return self.levels(levels).nodes

    def beginning(self, row: Row, speculation: Speculation, levels: int) -> Speculation:
        """Return the first levels of a speculation: its text says how their verify ends."""
        if self.proposals.get(row.seq) is speculation:
            proposed: Speculation = row.text.propose(speculation.tokens[:levels], levels)
            return proposed
        speculator = speculation.speculator if levels else "none"
        return self.levels(levels).tree.speculate(row.text, levels, speculator)

    def run_on(self, rows: Sequence[Row], length: int) -> Event:
        """Draft `length` more tokens a row past all that it has."""
        seconds = length * self.step_seconds(rows) * self.jitter()
        span = self.span("speculate", rows, self.recorder.verifies, len(rows), len(rows) * length)
        done = self.lane.start(span, seconds, length, self.dispatch)
        assert done.callbacks is not None
        done.callbacks += [_growth(row, span, length) for row in rows]
        self.pace = seconds / length
        return done

    def cancel(self, rows: Sequence[Row]) -> None:
        """Give up what is being drafted: the steps done were in vain."""
        span = self.lane.span
        if span is None or span.end <= self.lane.env.now:
            return
        steps = int(self.lane.done() / self.pace + 1e-9)
        span.tokens = span.batch * steps
        self.lane.cancel()
        for row in rows:
            row.ahead = list(row.ahead)  # nothing that is under way finds it any more

    def ahead(self, row: Row, length: int, start: int = 0) -> Speculation:
        """Return `length` tokens that the draft has past the committed ones and `start` more."""
        whole: Speculation = row.text.ahead(start + length)
        return tail(whole, start) if start else whole

    def continued(self, row: Row, speculation: Speculation) -> bool:  # noqa: ARG002 - it is said there
        """Tell whether the draft was right about all of a speculation, and the bonus token."""
        return speculation.continued

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
        self.proposals = {row.seq: one for row, one in zip(rows, found, strict=True)}
        return self._work(rows, found, seconds, 0.0)  # nobody is sent a message

    def fork(self, rows: Sequence[Row], speculations: Sequence[Speculation]) -> None:
        """Ask nobody: their source knew the candidates; the tree pays for the glue."""

    def search(self, row: Row, tokens: int) -> Event:
        """Run the draft over `tokens` tokens of a row's text at once."""
        seconds = self.seconds("glue", 1, tokens, row.context) * self.jitter()
        span = self.span("search", [row], row.round, 0, tokens)
        return self.lane.start(span, seconds, delay=self.dispatch)

    def _work(
        self, rows: Sequence[Row], found: list[Speculation], seconds: float, delay: float
    ) -> Event:
        tokens = 0
        for speculation in found:
            tokens += len(speculation.parents)
        span = self.span("speculate", rows, self.recorder.verifies, len(rows), tokens)
        for row in rows:
            row.work = span
        return self.lane.start(span, seconds, found, delay)


def _growth(row: Row, span: Span, length: int) -> Callable[[Event], None]:
    """Return what gives a row the tokens that are begun now, once they are there."""
    ahead, start = row.ahead, row.context + len(row.ahead)
    return lambda _: row.grow(ahead, span, start, length)


def exchange_seconds(
    machine: Machine, sampling: Sampling, draft_on: str | None
) -> Callable[[int], float] | None:
    """Return the seconds for an exchange about so many tokens: none on the same devices."""
    if draft_on != "own" or (machine.link == Link() and not machine.serve):
        return None
    return lambda tokens: machine.serve + machine.link.exchange(tokens, sampling)
