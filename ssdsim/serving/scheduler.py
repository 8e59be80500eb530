"""The scheduler of one replica: who runs in the next step, and how much of which prompt.

A step is a round boundary and the passes up to the next one. As in vLLM, running requests come
first, in the order in which they were admitted; where one finds no block, the last of them is
preempted: its blocks are free, its drafts dropped, it waits at the head of the queue, and all its
tokens are computed again. New requests are admitted in steps without preemption alone, up to the
first that does not fit. Nobody looks at how long an output will be.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import cast

from ssdsim.decoding.abilities import MixingTarget, Prompts
from ssdsim.decoding.first_token import deliver_first
from ssdsim.decoding.protocol import Row
from ssdsim.decoding.session import Session, Wait
from ssdsim.serving.kv_blocks import BlockPool


@dataclass
class StepScheduler:
    """Continuous batching of one replica.

    Attributes
    ----------
    kv
        Blocks of the KV cache.
    limit
        The most requests that run.
    budget, chunk
        The most tokens of a step, and of a prompt in a step.
    width
        The most tokens of a row that a verify computes: 1 + K.
    chunked
        Whether prompts are computed piece by piece along with verifies.
    overhead
        Seconds between two steps.
    samples
        Whether the pass that completes a prompt delivers a token.
    ahead
        Whether a step is scheduled when the one before begins: without who comes, and without what
        becomes free, while that one runs.
    running
        Admitted requests, in order.
    unread
        For each of those whose prompt is not all computed, the tokens that are.
    new
        Those whose prompt has just been computed: they join the others in the next step.
    stepped
        Whether a step has just ended.
    seen
        How many of those who wait did so when the last step began.
    leaving
        Finished rows whose room is not known to be free yet.

    """

    kv: BlockPool
    limit: int
    budget: int
    chunk: int
    width: int
    chunked: bool
    overhead: float
    samples: bool
    ahead: bool = False
    running: list[Row] = field(default_factory=list)
    unread: dict[int, int] = field(default_factory=dict)
    new: list[Row] = field(default_factory=list, init=False)
    stepped: bool = field(default=False, init=False)
    seen: int = field(default=0, init=False)
    leaving: list[Row] = field(default_factory=list, init=False)

    def admit(self, session: Session) -> Wait:
        """Go from step to step until rows can be decoded, or nobody comes any more."""
        yield from self._left_over(session)
        while True:
            yield from self._begin(session)
            prompts = self._schedule(session)
            yield from self._join(session)  # whose prompts were computed elsewhere
            if prompts is None:
                if session.rows or not (
                    self.new or session.queue.waiting or session.queue.expecting
                ):
                    return
                yield from self._idle(session)
            elif session.rows and self.chunked:
                cast("MixingTarget", session.target).carry(prompts)
                return
            else:
                yield from self._read(session, prompts)

    def due(self, session: Session) -> bool:
        """Return whether prompts wait, or somebody who could be admitted, or a row lacks room."""
        if self.new or self.unread:
            return True
        if session.queue.waiting and len(self.running) < self.limit:
            row = session.queue.waiting[0]
            known = self.kv.known(row)
            tokens = row.context if row.read else known + self._first_part(row, known, self.budget)
            if self.kv.fits(row, tokens + self.width - 1):
                return True
        roomy = all(self._holds(row) for row in session.rows)
        session.noted()
        return not roomy

    def left(self, rows: Iterable[Row]) -> None:
        """Take back what finished rows held."""
        for row in rows:
            if row in self.running:  # else its first token, which came with the hand-off, was all
                self.running.remove(row)
            self.leaving.append(row)
        if not self.ahead:
            self._let_go()

    def live(self, session: Session) -> Sequence[Row]:  # noqa: ARG002 - it knows them
        """Return the running requests."""
        return self.running

    def blocks(self) -> int:
        """Return the blocks that they hold."""
        return self.kv.used

    def _left_over(self, session: Session) -> Wait:
        """Compute prompts that no verify took along: a method's round may have none."""
        prompts = cast("MixingTarget", session.target).riding if self.chunked else None
        if prompts is not None:
            yield from self._read(session, prompts)

    def _begin(self, session: Session) -> Wait:
        """Begin a step: those whose prompts are computed join the others."""
        if self.stepped and self.overhead:
            yield session.env.timeout(self.overhead)
        self.stepped = True
        yield from self._join(session)

    def _join(self, session: Session) -> Wait:
        """Let rows whose prompts are computed be decoded with the others."""
        if not self.new:
            return
        joining, self.new = self.new, []
        alone = [row for row in joining if self.chunked or row.read]
        if alone:  # of others target and drafts have read the prompts side by side
            yield from session.prompts.drafts_read(alone)
        for row in joining:
            row.ready = session.env.now
        session.rows = [row for row in self.running if row.seq not in self.unread]

    def _idle(self, session: Session) -> Wait:
        """Wait for somebody to come; a step begins with that."""
        if not self.new:
            yield from session.queue.someone()
            self.stepped = False

    def _schedule(self, session: Session) -> Prompts | None:
        """Let every running request have room, admit others, and return the prompts of the step."""
        before, budget = len(self.running), self.budget
        if self.chunked:
            budget -= self.width * len(session.rows)
        parts = self._go_on(session, budget)
        if len(self.running) == before:
            self._admit(session, budget - sum(parts.values()), parts)
        self.seen = len(session.queue.waiting)
        self._let_go()
        session.noted()
        return self._prompts(session, parts) if parts else None

    def _go_on(self, session: Session, budget: int) -> dict[int, int]:
        """Let running requests go on in order; return the tokens of their prompts."""
        parts: dict[int, int] = {}
        if not self.kv.limited and not self.unread:
            return parts
        for row in self.running:  # which loses its tail on the way
            done, count = self.unread.get(row.seq), 0
            if done is not None:
                count = min(row.context - done, self.chunk, budget)
            tokens = row.context if done is None else done + count
            if self._make_room(session, row, tokens + self.width - 1) and count:
                parts[row.seq], budget = count, budget - count
        return parts

    def _make_room(self, session: Session, row: Row, tokens: int) -> bool:
        """Preempt from the tail until a row has its blocks; tell whether it still runs."""
        while not self.kv.grow(row.seq, tokens):
            last = self.running[-1]
            self._preempt(session, last)
            if last is row:
                return False
        return True

    def _preempt(self, session: Session, row: Row) -> None:
        """Free a row's blocks and drop its drafts; it is the next to be admitted."""
        self.running.pop()
        done = self.unread.pop(row.seq, None)
        self.kv.computed(row, row.context - 1 if done is None else done)
        self.kv.release(row.seq)
        if done is None:
            session.rows = [other for other in session.rows if other is not row]
        session.target.preempt(row)
        row.drop()
        row.record.preempted += 1
        row.record.preempted_at.append(session.env.now)
        session.queue.waiting.appendleft(row)

    def _admit(self, session: Session, budget: int, parts: dict[int, int]) -> None:
        """Admit waiting requests in order, up to the first that does not fit."""
        limit = self.limit - len(self.leaving)
        last = len(session.queue.waiting) - self._scheduled(session)
        while len(session.queue.waiting) > last and len(self.running) < limit and budget > 0:
            row = session.queue.waiting[0]
            known = self.kv.known(row)
            count = self._first_part(row, known, budget)
            tokens = row.context if row.read else known + count
            if count > budget or not self.kv.take(row, tokens + self.width - 1):
                return
            session.queue.waiting.popleft()
            self._find(row, known)
            session.prompts.take_up([row])
            self.running.append(row)
            if count:
                self.unread[row.seq], parts[row.seq], budget = known, count, budget - count
            elif row.read:  # elsewhere; a draft has still to read it
                self.new.append(row)
            else:  # there is nothing to read
                session.rows = [*session.rows, row]

    def _scheduled(self, session: Session) -> int:
        """Return how many of those who wait the step may have: an idle engine takes all at once."""
        working = self.ahead and (self.running or self.seen)
        return self.seen if working else len(session.queue.waiting)

    def _let_go(self) -> None:
        """Let others have the room of who is finished."""
        for row in self.leaving:
            self.kv.release(row.seq)
        self.leaving.clear()

    def _find(self, row: Row, known: int) -> None:
        """Let so many tokens of a row's text be there already."""
        row.known = known
        if self.kv.caches and row.record.cached_tokens is None:
            row.record.cached_tokens = known

    def _first_part(self, row: Row, known: int, budget: int) -> int:
        """Return how many more tokens of a waiting request come first: all, or a piece."""
        if row.read:
            return 0
        left = row.context - known
        return min(left, self.chunk, budget) if self.chunked else left

    def _prompts(self, session: Session, parts: dict[int, int]) -> Prompts:
        rows = [row for row in self.running if row.seq in parts]
        cached = [self.unread[row.seq] for row in rows]
        counts = [parts[row.seq] for row in rows]
        return Prompts(rows, counts, cached, lambda: self._computed(session, rows, counts))

    def _read(self, session: Session, prompts: Prompts) -> Wait:
        """Compute prompts in a pass of their own, which holds up the rows that are decoded."""
        if self.chunked:
            yield cast("MixingTarget", session.target).read(prompts)
        else:
            yield from session.prompts.read(prompts.rows)
            for row in session.rows:
                row.ready = session.env.now
            prompts.computed()

    def _computed(self, session: Session, rows: Sequence[Row], counts: Sequence[int]) -> None:
        """Take note that prompt tokens are in the cache."""
        for row, count in zip(rows, counts, strict=True):
            self.unread[row.seq] += count
            self.kv.computed(row, self.unread[row.seq])
            if self.unread[row.seq] == row.context:
                del self.unread[row.seq]
                self._complete(session, row)

    def _complete(self, session: Session, row: Row) -> None:
        """Let a row join the others, if its prompt's own token was not all."""
        if self.samples and not row.round:
            deliver_first(session, row)
        if row.left:
            self.new.append(row)

    def _holds(self, row: Row) -> bool:
        return self.kv.grow(row.seq, row.context + self.width - 1)
