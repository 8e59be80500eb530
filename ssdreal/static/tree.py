"""A tree of branches whose tokens stay on the device until it has grown."""

from collections.abc import Iterator

from ssdreal.channel.messages import Branches, Grow
from ssdreal.channel.pages import Place
from ssdreal.serving.drafter import Drafter
from ssdreal.serving.sampling import Logits
from ssdreal.serving.tree import Tree
from ssdreal.static import growth
from ssdreal.static.passes import StaticReader


class StaticTree(Tree):
    """The same, grown in passes of one width: each branch has a column, also once it is dropped.

    Parameters
    ----------
    reader, drafter, command
        See `Tree`.
    grown
        The columns.

    """

    def __init__(
        self, reader: StaticReader, drafter: Drafter, command: Grow, grown: growth.Branches
    ) -> None:
        super().__init__(reader, drafter, command)
        self.grown, self.steps = grown, 0
        # How many tokens each branch has: they come when they are asked for.
        self.lengths = {id(branch): 0 for row in self.branches for branch in row}
        self._begin()

    def grow(self) -> Iterator[tuple[Place, Logits]]:
        """Draft one token for every live branch; their probabilities are where they belong."""
        self.grown.replay()
        self.grown.lane.wait()
        self.steps += 1
        self.tokens += sum(map(len, self.live))
        stopping = self.command.stopping
        for branch in (branch for live in self.live for branch in live):
            self.lengths[id(branch)] = self.steps
        if stopping.early:
            self._collect()
            self.live = [
                [branch for branch in live if not stopping.ends(branch.confidences)]
                for live in self.live
            ]
        elif self.steps == stopping.limit:
            self.live = [[] for _ in self.live]
        yield from ()

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
        rows = zip(self.command.lines, self.free, self.branches, strict=True)
        for line, free, branches in rows:
            slot = line.slot
            numbers["active"][slot], numbers["sequences"][slot] = 1, line.seq
            numbers["free"][slot] = free
            for branch in branches:
                numbers["tokens"][slot, branch.number] = branch.last
                numbers["prefix"][slot, branch.number] = branch.prefix
        self.grown.inputs.send()
        self.grown.begin()

    def _collect(self) -> None:
        """Give every branch the tokens that it was drafted."""
        tokens, sure = self.grown.history.fetch()
        for branch in (branch for row in self.branches for branch in row):
            here = branch.line.slot, branch.number, slice(self.lengths[id(branch)])
            branch.tokens[:] = tokens[here].astype(int).tolist()
            branch.confidences[:] = sure[here].tolist()
