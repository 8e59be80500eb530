"""Grows the branches of a round on the device; their tokens are copied once they are whole."""

from collections.abc import Iterator
from typing import cast

from ssdreal.channel.messages import Branches, Grow
from ssdreal.serving.branches import ChainBranch, Tree, Write
from ssdreal.serving.drafter import Drafter
from ssdreal.serving.sampling import defined
from ssdreal.static import chain_steps
from ssdreal.static.passes import StaticReader


class StaticTree(Tree):
    """Branches grown in passes of one width: each keeps its column, also once it is dropped.

    Parameters
    ----------
    reader, drafter, command
        See `Tree`.
    grown
        The columns.

    """

    def __init__(
        self, reader: StaticReader, drafter: Drafter, command: Grow, grown: chain_steps.Branches
    ) -> None:
        super().__init__(reader, drafter, command)
        self.grown = grown
        # How many tokens each branch has: they come when they are asked for.
        self.lengths = dict.fromkeys(self._all(), 0)
        self._begin()

    def grow(self, write: Write) -> None:  # noqa: ARG002 - the pass itself puts them down
        """Draft one token for every live branch; their probabilities are where they belong."""
        self.grown.replay()
        if self.command.stoppable:
            self.grown.lane.wait()
        self.steps += 1
        stopping = self.command.stopping
        for live in self.live:
            self.lengths |= dict.fromkeys(cast(list[ChainBranch], live), self.steps)
        if stopping.early:
            self._collect()
            self.live = [[branch for branch in live if branch.grows] for live in self.live]
        elif self.steps == stopping.limit:
            self.live = [[] for _ in self.live]

    def result(self, shared: bool) -> Branches:
        """Return what was drafted."""
        if self.steps and not self.command.stopping.early:
            self._collect()
        return super().result(shared)

    def _begin(self) -> None:
        numbers = self.grown.inputs.numbers
        for name in ("active", "prefix", "tokens"):
            numbers[name][:] = 0
        numbers["page"][:] = self.command.page
        for line in self.command.lines:
            numbers["active"][line.slot], numbers["sequences"][line.slot] = 1, line.seq
            numbers["free"][line.slot] = self.free[line.slot]
        for branch in self._all():
            column = branch.line.slot, branch.place.branch
            numbers["tokens"][column], numbers["prefix"][column] = branch.last, branch.prefix
        self.grown.inputs.send()
        self.grown.begin()

    def _collect(self) -> None:
        """Give every branch the tokens that it was drafted."""
        tokens, sure = self.grown.history.fetch()
        for branch, length in self.lengths.items():
            here = branch.line.slot, branch.place.branch, slice(length)
            branch.tokens[:] = tokens[here].astype(int).tolist()
            branch.confidences[:] = defined(sure[here]).tolist()

    def _all(self) -> Iterator[ChainBranch]:
        """Yield all branches, dropped ones as well: without a token tree they are chains."""
        for row in self.branches:
            yield from cast(list[ChainBranch], row)
