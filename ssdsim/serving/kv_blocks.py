"""The blocks of the KV cache: how many there are, and who holds how many."""

from dataclasses import dataclass, field
from math import inf


@dataclass
class BlockPool:
    """Blocks of one replica, which sequences take as they grow and give back at once.

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

    def fits(self, tokens: int) -> bool:
        """Return whether there is room for a new sequence of so many tokens."""
        return self.needed(tokens) <= self.free

    def grow(self, seq: int, tokens: int) -> bool:
        """Let a sequence hold what so many tokens take; tell whether there is room for that."""
        more = self.needed(tokens) - self.held.get(seq, 0)
        if self.used + more > self.total:
            return False
        if more > 0:
            self.used += more
            self.held[seq] = self.held.get(seq, 0) + more
        return True

    def release(self, seq: int) -> None:
        """Take back all that a sequence holds."""
        self.used -= self.held.pop(seq, 0)
