"""The simulated draft: tokens come from the acceptance source, seconds from the latency model."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf

from simpy import Event

from ssdsim.decoding.protocol import Row
from ssdsim.engine.speculation_cache import SimulatedTree
from ssdsim.engine.workers import Worker
from ssdsim.errors import ConfigError
from ssdsim.latency.base import Pass
from ssdsim.latency.machine import Machine
from ssdsim.lengths.base import Control, Stopping
from ssdsim.outcomes import Outcome, Speculation, Speculator, tail
from ssdsim.run.trace import Span
from ssdsim.sampling.settings import Sampling
from ssdsim.trees.base import TokenTree, grouped
from ssdsim.trees.chain import Chain


@dataclass(eq=False)
class SimulatedDraft(Worker):
    """The draft: contents come from the rows' texts when they are needed, time passes here.

    `length` says when a chain ends before its limit; `lengths` counts those that could have.
    `asked` is what it drafts, a pass a level: as much of it as `length` leaves.
    """

    vocabulary: int | None
    exchange_seconds: Callable[[int], float]
    length: Control
    asked: TokenTree = field(default_factory=Chain)
    lengths: Counter[int] = field(default_factory=Counter)
    pace: float = 0.0

    @property
    def tree(self) -> TokenTree:
        """What it drafts this round."""
        return self.length.within(self.asked)

    def exchange(self, rows: Sequence[Row], lookahead: int) -> Event | None:
        """Spend the time on the link and on looking outcomes up."""
        seconds = self.exchange_seconds(len(rows) * self.tree.nodes(lookahead))
        if not seconds:
            return None
        span = self.span("transfer", rows, self.recorder.verifies, 0, 0)
        span.lane = span.device = "link"
        span.end = span.start + seconds
        return self.lane.env.timeout(seconds)

    def speculate(self, rows: Sequence[Row], lookahead: int, speculator: Speculator) -> Event:
        """Draft at most `lookahead` tokens a row in series, or as many levels of a tree.

        Rows that stop wait for the others.
        """
        stopping = self.length.stopping(lookahead)
        found = [self.drafted(row, lookahead, speculator, stopping) for row in rows]
        longest = max(speculation.length for speculation in found)
        steps = longest if stopping.early else lookahead
        seconds = self.speculate_seconds(rows, steps) * self.jitter()
        return self._work(rows, found, seconds, self.dispatch)

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

    def drafted(
        self, row: Row, lookahead: int, speculator: Speculator, stopping: Stopping
    ) -> Speculation:
        """Return what the draft makes of a row's text, up to the token that ends the chain."""
        whole = self.tree.speculate(row.text, lookahead, speculator)
        if not stopping.early:
            return whole
        kept = stopping.cut(whole)
        self.lengths[kept] += 1
        return whole if kept == whole.length else self.tree.speculate(row.text, kept, speculator)

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
        steps = self.steps_seconds(rows, len(rows), lookahead, "step")
        return steps + self.expected("fill", rows, len(rows))

    def step_seconds(self, rows: Sequence[Row]) -> float:
        """Return the expected seconds of one more token a row."""
        return self.level_seconds(rows, len(rows), 1, "step")

    def steps_seconds(
        self, rows: Sequence[Row], branches: int, steps: int, lone: Pass = "tree"
    ) -> float:
        """Return the expected seconds of so many steps, over all branches."""
        passes = grouped(self.tree.passes(steps))
        return sum(n * self.level_seconds(rows, branches, nodes, lone) for nodes, n in passes)

    def level_seconds(
        self, rows: Sequence[Row], branches: int, nodes: int, lone: Pass = "tree"
    ) -> float:
        """Return the expected seconds of one step over so many nodes a branch.

        One node a branch is the pass `lone`; more are a pass over a "tree".
        """
        tokens = nodes * branches
        return self.expected(lone if nodes == 1 else "tree", rows, tokens) + self._drawn(tokens)

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
            fits = self._known_seconds(rows, middle * len(rows), lookahead) <= left
            low, high = (middle, high) if fits else (low, middle - 1)
        return low

    def _known_seconds(self, rows: Sequence[Row], branches: int, steps: int) -> float:
        """Return the seconds of all steps; without end where no measurement goes that far."""
        try:
            return self.steps_seconds(rows, branches, steps)
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


def _growth(row: Row, span: Span, length: int) -> Callable[[Event], None]:
    """Return what gives a row the tokens that are begun now, once they are there."""
    ahead, start = row.ahead, row.context + len(row.ahead)
    return lambda _: row.grow(ahead, span, start, length)


def exchange_seconds(
    machine: Machine, sampling: Sampling, draft_on: str | None
) -> Callable[[int], float]:
    """Return the seconds for an exchange about so many tokens: none on the same devices."""
    if draft_on != "own":
        return lambda _: 0.0
    return lambda tokens: machine.serve + machine.link.exchange(tokens, sampling)
