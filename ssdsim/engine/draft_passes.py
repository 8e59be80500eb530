"""Passes of the simulated draft: which tokens they draft, and the seconds that they take."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import groupby
from math import inf
from operator import mul
from typing import NamedTuple

from ssdsim.decoding.protocol import Row
from ssdsim.engine.worker import Worker
from ssdsim.errors import ConfigError
from ssdsim.latency.base import Pass
from ssdsim.lengths.base import Control, Stopping
from ssdsim.outcomes import Speculation, Speculator
from ssdsim.trees.base import Levels, Steps, TokenTree, made


class Branching(NamedTuple):
    """Branches that are drafted together.

    Attributes
    ----------
    levels
        Of each branch.
    live
        The branches of each step.
    tokens
        All that they make.
    glue, steps
        Expected seconds of the pass that gives their outcomes, and runs of equal steps: how many,
        and the expected seconds of each.

    """

    levels: Levels
    live: Steps
    tokens: int
    glue: float
    steps: Sequence[tuple[int, float]]


@dataclass(eq=False)
class DraftPasses(Worker):
    """A draft, but for what it is asked to do: contents and seconds of its passes.

    Attributes
    ----------
    length
        When a chain ends before its limit; `lengths` counts those that could have.
    asked
        What it drafts, a pass a level: as much of it as `length` leaves.
    block
        Or so many levels of a chain a pass.
    keeps
        Whether somebody will ask what became of each branch.
    slots
        Rows of every pass where passes have a row for every slot, whether somebody has it or not;
        0: passes have the rows that there are.

    """

    length: Control
    asked: TokenTree
    block: int
    keeps: bool = field(default=False, kw_only=True)
    slots: int = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.lengths: Counter[int] = Counter()
        self.asked_at = 0
        self.level_seconds = lru_cache(maxsize=65536)(self._level_seconds)
        self.branching = lru_cache(maxsize=65536)(self._branching)
        self.chain_seconds = lru_cache(maxsize=65536)(self._chain_seconds)
        self.stops = type(self.length).stopping is not Control.stopping
        self._shapes: dict[tuple[int | None, int], Levels] = {}

    def levels(self, depth: int) -> Levels:
        """Return what it drafts this round, at most so many levels deep."""
        key = self.length.nodes, depth
        found = self._shapes.get(key)
        if found is None:
            tree = self.length.within(self.asked)
            found = self._shapes[key] = Levels.of(tree, depth, self.block)
        return found

    def _branching(
        self,
        nodes: int | None,  # noqa: ARG002 - part of the key
        depth: int,
        branches: int,
        batch: int,
        glued: int,
        context: int,
    ) -> Branching:
        """Return what so many whole branches are, after a glue pass over `glued` tokens.

        `nodes` is what the length control leaves a tree of.
        """
        levels = self.levels(depth)
        live = (branches,) * len(levels.made)
        glue = self.seconds("glue", batch, glued, context)
        steps = self.level_seconds(live, levels.computed, batch, context)
        return Branching(levels, live, made(live, levels.made), glue, steps)

    def drafted(
        self, row: Row, tree: TokenTree, depth: int, speculator: Speculator, stopping: Stopping
    ) -> Speculation:
        """Return what the draft makes of a row's text, up to the token that ends the chain."""
        whole = tree.speculate(row.text, depth, speculator)
        if not stopping.early:
            return whole
        kept = stopping.cut(whole)
        self.lengths[kept] += 1
        return whole if kept == whole.length else tree.speculate(row.text, kept, speculator)

    def share_beyond(self, step: int) -> float:
        """Return the share of chains that were longer, among all that could have ended early."""
        longer = sum(count for length, count in self.lengths.items() if length > step)
        return longer / self.lengths.total() if self.lengths else 1.0

    def speculate_seconds(self, rows: Sequence[Row], lookahead: int) -> float:
        """Return the seconds of `lookahead` steps, and of the pass that fills the cache."""
        batch, context = len(rows), self.context(rows) if self.reads_context else 0
        return self.chain_seconds(self.length.nodes, lookahead, batch, context)

    def _chain_seconds(self, nodes: int | None, lookahead: int, batch: int, context: int) -> float:  # noqa: ARG002 - part of the key
        steps = self._steps_seconds(batch, context, batch, lookahead, "step")
        return steps + self.seconds("fill", batch, batch, context)

    def step_seconds(self, rows: Sequence[Row]) -> float:
        """Return the expected seconds of one more token a row."""
        return self.seconds("step", len(rows), len(rows), self.context(rows))

    def _level_seconds(
        self, live: tuple[int, ...], nodes: tuple[int, ...], batch: int, context: int
    ) -> tuple[tuple[int, float], ...]:
        """Return runs of equal steps: how many, and the expected seconds of each.

        Step i is a pass over `nodes[i]` nodes of each of its `live[i]` branches.
        """
        runs = groupby(map(mul, live, nodes))
        return tuple(
            (len([*same]), self.seconds("tree", batch, tokens, context)) for tokens, same in runs
        )

    def pass_seconds(self, work: Pass, batch: int, tokens: int, context: int) -> float:
        """Return the expected seconds of one pass, rows that nobody has included."""
        rows = batch if work == "prefill" else max(batch, self.slots)
        return self.latency.seconds(work, rows, tokens * rows // batch, context) + self.drawn(
            work, tokens
        )

    @property
    def knows(self) -> bool:
        """Whether a pass has given the candidates of the verify in flight already."""
        return self.asked_at == self.recorder.verifies

    def glue_seconds(self, rows: Sequence[Row]) -> float:
        """Return the expected seconds of the pass that gives the candidates at every node."""
        return self.seconds("glue", len(rows), glued(rows), self.context(rows))

    def drawn(self, work: Pass, tokens: int) -> float:
        """Return the seconds of drawing from a pass: none where it only fills a cache."""
        if work in {"prefill", "fill"}:
            return 0.0
        return self.drawing.draft + tokens * self.drawing.draft_token

    def tree_seconds(self, rows: Sequence[Row], branches: int, lookahead: int) -> float:
        """Return the expected seconds of so many branches of all rows, with their glue pass."""
        return self.glue_seconds(rows) + self._known_seconds(rows, branches, lookahead)

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

    def steps_within(
        self, seconds: float, rows: Sequence[Row], branches: int, lookahead: int
    ) -> int:
        """Return how many steps, at most `lookahead`, of so many branches take `seconds`."""
        left = seconds - (0.0 if self.knows else self.glue_seconds(rows) + self.dispatch)
        left *= 1 + 1e-9  # sums of floats may miss by an ulp
        deep = range(lookahead, 0, -1)
        return next((K for K in deep if self._known_seconds(rows, branches, K) <= left), 0)

    def _known_seconds(self, rows: Sequence[Row], branches: int, steps: int) -> float:
        """Return the seconds of all steps; without end where no measurement goes that far."""
        try:
            return self._steps_seconds(len(rows), self.context(rows), branches, steps, "tree")
        except ConfigError:
            return inf

    def _steps_seconds(
        self, batch: int, context: int, branches: int, steps: int, lone: Pass
    ) -> float:
        """Return the expected seconds of so many steps, over all branches.

        One node a branch, or a block, is the pass `lone`; more are a pass over a "tree".
        """
        block = self.block
        return sum(
            passes
            * self.seconds(lone if nodes <= block else "tree", batch, nodes * branches, context)
            for nodes, passes in self.levels(steps).passes
        )


def glued(rows: Sequence[Row]) -> int:
    """Return the tokens of a pass that gives the candidates at every node."""
    tokens = len(rows)
    for row in rows:
        if row.cached is not None:
            tokens += len(row.cached.parents)
    return tokens
