"""The blocks of the KV cache: how many there are, and who holds how many."""

from dataclasses import dataclass, field
from math import inf
from typing import ClassVar

from ssdsim.decoding.protocol import Row


@dataclass
class BlockPool:
    """Blocks of one replica, which sequences take as they grow and give back at once.

    `caches` tells whether they outlive who holds them.

    Attributes
    ----------
    total
        How many there are; without end where memory is no matter.
    size
        Tokens of a block.
    states
        Blocks that a sequence takes beside those of its tokens: its recurrent states.
    used
        Blocks that somebody holds.
    held
        Those by sequence.

    """

    caches: ClassVar[bool] = False
    total: float
    size: int
    states: int = 0
    used: int = 0
    held: dict[int, int] = field(default_factory=dict)

    @property
    def limited(self) -> bool:
        """Whether they can run out."""
        return self.total < inf

    @property
    def free(self) -> float:
        """Blocks that nobody holds."""
        return self.total - self.used

    def needed(self, tokens: int) -> int:
        """Return the blocks that a sequence of so many tokens takes."""
        return self.states - (-tokens // self.size)

    def known(self, row: Row) -> int:  # noqa: ARG002 - nothing is shared here
        """Return how many tokens from a text's start need not be computed."""
        return 0

    def fits(self, row: Row, tokens: int) -> bool:  # noqa: ARG002 - likewise
        """Return whether there is room for a new sequence of so many tokens."""
        return self.needed(tokens) <= self.free

    def take(self, row: Row, tokens: int) -> bool:
        """Let a new sequence hold what so many tokens take; tell whether there is room for that."""
        return self.grow(row.seq, tokens)

    def grow(self, seq: int, tokens: int) -> bool:
        """Let a sequence hold what so many tokens take; tell whether there is room for that."""
        more = self.needed(tokens) - self.held.get(seq, 0)
        if self.used + more > self.total:
            return False
        if more > 0:
            self.used += more
            self.held[seq] = self.held.get(seq, 0) + more
        return True

    def computed(self, row: Row, tokens: int) -> None:
        """Take note that a sequence's first tokens are computed."""

    def release(self, seq: int) -> None:
        """Take back all that a sequence holds."""
        self.used -= self.held.pop(seq, 0)
