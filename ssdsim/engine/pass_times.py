"""The seconds of every piece of work of a setup, for exact expectations.

They have the shape (contexts, target factors, draft factors), or are numbers where nothing is told
apart: factors stand for what scatters, each for an equal share of the probability.
"""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import inf
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ssdsim.backups.ngram import Ngram
from ssdsim.backups.random import Random
from ssdsim.engine.draft import exchange_seconds
from ssdsim.engine.padding import Shape
from ssdsim.engine.setup import Setup
from ssdsim.errors import ConfigError
from ssdsim.latency.base import Latency, Pass, reads_context
from ssdsim.latency.jitter import Averaged, Jitter
from ssdsim.latency.machine import Drawing
from ssdsim.methods.ssd import Ssd
from ssdsim.theory.halves import TurnTimes
from ssdsim.theory.pearl import PearlTimes
from ssdsim.theory.round_seconds import Seconds, Times

Floats = NDArray[np.float64]
Thing = TypeVar("Thing")

MOST_BRANCHES = 1024
"""Of a row, where its budget is what fits beside a verify."""
FACTORS = 25
"""Equal shares of the probability that a jitter's factors are averaged over."""


@dataclass(frozen=True, eq=False)
class Kept(Generic[Thing]):
    """Something told from others by its identity, as part of the key of what is remembered."""

    thing: Thing

    def __hash__(self) -> int:
        return id(self.thing)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Kept) and other.thing is self.thing


@dataclass(frozen=True)
class PassTimes:
    """Seconds of passes of a setup's models.

    Attributes
    ----------
    setup
        Whose machine and sampling.
    contexts
        Tokens in the caches, as many values as are told apart.
    shape
        That of all verifies, where they have one.

    """

    setup: Setup
    contexts: tuple[int, ...]
    shape: Shape | None = None

    def verify(self, rows: int, tokens: int) -> Seconds:
        """Return the seconds of a verify after its message."""
        factors = _factors(Kept(self.setup.machine.target_jitter))
        return _scattered(self.verify_alone(rows, tokens), factors[:, None])

    def draft(self, work: Pass, rows: int, tokens: int) -> Seconds:
        """Return the seconds of a pass of the draft after its message."""
        factors = _factors(Kept(self.setup.machine.draft_jitter))
        return _scattered(self.draft_alone(work, rows, tokens), factors)

    def chain(self, rows: int, length: int) -> Seconds:
        """Return the seconds of so many steps of the draft in series, after their message."""
        factors = _factors(Kept(self.setup.machine.draft_jitter))
        return _scattered(self.chain_alone(rows, length), factors)

    def redraft(self, rows: int, length: int) -> Seconds:
        """Return the mean seconds of a message and a chain of the draft, shape (contexts,)."""
        factors = _factors(Kept(self.setup.machine.draft_jitter))
        chain = self.chain_alone(rows, length)
        return self.setup.machine.dispatch + chain * float(factors.mean())

    def chain_alone(self, rows: int, length: int) -> Seconds:
        """Return the seconds of a chain of the draft before its jitter, shape (contexts,)."""
        chain = self._drafting("fill", rows, rows)
        if length:
            chain = chain + length * self.draft_alone("step", rows, rows)
        return chain

    def verify_alone(self, rows: int, tokens: int) -> Seconds:
        """Return the seconds of a verify before its jitter, shape (contexts,)."""
        target, drawing = self.setup.machine.target, self._drawing
        drawn = drawing.target + tokens * drawing.target_token
        if self.shape is None:
            return self._seconds(target, "verify", rows, tokens) + drawn
        return target.seconds("verify", *self.shape) + drawn

    def draft_alone(self, work: Pass, rows: int, tokens: int) -> Seconds:
        """Return the seconds of a pass of the draft before its jitter, shape (contexts,)."""
        drawing = self._drawing
        drawn = drawing.draft + tokens * drawing.draft_token
        return self._drafting(work, rows, tokens) + drawn

    def _drafting(self, work: Pass, rows: int, tokens: int) -> Seconds:
        """Return the seconds of a pass of the draft: padded ones have a row for every slot."""
        slots = max(rows, self.shape[0]) if self.shape else rows
        return self._seconds(self.setup.draft_latency, work, slots, tokens * slots // rows)

    @property
    def _drawing(self) -> Drawing:
        return self.setup.machine.sampling.under(self.setup.sampling)

    def _seconds(self, latency: Latency, work: Pass, rows: int, tokens: int) -> Seconds:
        if len(self.contexts) == 1 or not reads_context(latency):
            return latency.seconds(work, rows, tokens, self.contexts[0])
        return _known(Kept(latency), work, rows, tokens, self.contexts)


@lru_cache(maxsize=4096)
def _known(
    latency: Kept[Latency], work: Pass, rows: int, tokens: int, contexts: tuple[int, ...]
) -> Floats:
    seconds = latency.thing.seconds
    return np.array([seconds(work, rows, tokens, context) for context in contexts])


@lru_cache(maxsize=64)
def _factors(jitter: Kept[Jitter]) -> Floats:
    """Return factors that stand for a jitter, each for an equal share of the probability."""
    assert isinstance(jitter.thing, Averaged), "others are refused"
    return jitter.thing.means(FACTORS)


def _scattered(seconds: Seconds, factors: Floats) -> Seconds:
    """Return the seconds times each factor; one number where there is no more to tell."""
    if factors.size == 1 and np.ndim(seconds) == 0:
        return seconds * factors.item()
    return np.reshape(seconds, (-1, 1, 1)) * factors


def handshake(setup: Setup, tokens: int) -> float:
    """Return what a round spends on messages: an exchange, and asking the target."""
    exchange = exchange_seconds(setup.machine, setup.sampling, setup.draft_on)
    return setup.machine.dispatch + (exchange(tokens) if exchange else 0.0)


def round_times(passes: PassTimes, lookahead: int) -> Times:
    """Return the seconds of everything in a round of `autoregressive`, `speculative` or `ssd`."""
    setup, machine = passes.setup, passes.setup.machine
    ahead = isinstance(setup.method, Ssd)
    drafts = ahead or lookahead > 0
    asks = setup.draft_on is not None and drafts
    return Times(
        handshake=handshake(setup, setup.batch * lookahead) if asks else machine.dispatch,
        verify=passes.verify,
        # The outcomes are chosen once it has answered: the steps are a second message.
        glue=lambda rows, tokens: passes.draft("glue", rows, tokens) + machine.dispatch,
        tree=lambda rows, branches: passes.draft("tree", rows, branches),
        backup=_backup(passes) if drafts else lambda *_: 0.0,
        slowdown=(machine.slowdown.target, machine.slowdown.draft),
    )


def pearl_times(passes: PassTimes, window: int) -> PearlTimes:
    """Return the seconds of a round of `pearl`."""
    setup, rows = passes.setup, passes.setup.batch
    slowdown = setup.machine.slowdown
    return PearlTimes(
        handshake=handshake(setup, rows * window),
        verify=passes.verify,
        window=window * passes.draft("step", rows, rows) if window else 0.0,
        slowdown=(slowdown.target, slowdown.draft),
    )


def turn_times(passes: PassTimes) -> TurnTimes:
    """Return the seconds of a turn of `minedraft`."""
    setup, machine = passes.setup, passes.setup.machine
    return TurnTimes(
        handshake=lambda tokens: handshake(setup, tokens) if tokens else machine.dispatch,
        verify=passes.verify,
        chain=passes.chain,
        slowdown=(machine.slowdown.target, machine.slowdown.draft),
    )


def branches_beside(passes: PassTimes, lookahead: int, length: int) -> int:
    """Return how many branches a row the draft finishes beside a verify of `length` tokens a row.

    What `DraftPasses.branches_within` does in a run, at one context.
    """
    setup, rows = passes.setup, passes.setup.batch
    verify = passes.verify_alone(rows, rows * (lookahead + 1))
    glue = passes.draft_alone("glue", rows, rows * (length + 1)) + setup.machine.dispatch

    def seconds(each: int) -> float:
        try:
            return lookahead * float(passes.draft_alone("tree", rows, each * rows))
        except ConfigError:
            return inf  # no measurement goes that far

    return bisect_right(range(1, MOST_BRANCHES + 1), float(verify - glue) * (1 + 1e-9), key=seconds)


def _backup(passes: PassTimes) -> Callable[[int, int], Seconds]:
    """Return the seconds of drafting where nothing was prepared."""
    setup = passes.setup
    if setup.lookup:
        each = setup.lookup.seconds
        return lambda rows, _: rows * each
    if isinstance(setup.method, Ssd) and isinstance(setup.backup, Random | Ngram):
        proposed = setup.backup.seconds
        return lambda *_: proposed
    return passes.redraft
