"""Prefix caching: whoever begins like somebody before shares the blocks that are computed already.

As vLLM has it (`enable_prefix_caching`): full blocks alone are shared, all that hold them count,
and blocks that nobody holds any more stay until their room is needed, the one that was let go first
is the first to be evicted, and of one sequence the last block before those that it follows.
"""

from dataclasses import dataclass, field
from itertools import takewhile
from typing import ClassVar

from ssdsim.decoding.protocol import Row
from ssdsim.serving.block_names import Name, Naming
from ssdsim.serving.kv_blocks import BlockPool


@dataclass
class PrefixCache(BlockPool):
    """Blocks of one replica, those with known content shared.

    `used` are those that somebody holds, each counted once.

    Attributes
    ----------
    holders
        How many sequences hold each block that is known by a name.
    idle
        Named blocks that nobody holds, in the order in which they are evicted.
    shared
        Names of the blocks that a sequence holds, as far as they have any.
    done
        How many blocks of a sequence from its start are full, and computed or found here.
    names
        Of all full blocks of a sequence that was asked about, by sequence.
    naming
        Gives them.

    """

    caches: ClassVar[bool] = True
    holders: dict[Name, int] = field(default_factory=dict)
    idle: dict[Name, None] = field(default_factory=dict)
    shared: dict[int, list[Name]] = field(default_factory=dict)
    done: dict[int, int] = field(default_factory=dict)
    names: dict[int, list[Name]] = field(default_factory=dict)
    naming: Naming = field(init=False)

    def __post_init__(self) -> None:
        self.naming = Naming(self.size)

    def known(self, row: Row) -> int:
        """Return how many tokens of a text from its start are here; one is left to compute."""
        return len(self._found(row)) * self.size

    def fits(self, row: Row, tokens: int) -> bool:
        """Return whether there is room for a new sequence of so many tokens."""
        found = self._found(row)
        return self.needed(tokens) - self._held(found) <= self.free

    def take(self, row: Row, tokens: int) -> bool:
        """Let a new sequence share what is here and hold the rest; tell whether there is room."""
        if not self.fits(row, tokens):
            return False
        found = self._found(row)
        for name in found:
            self._hold(name)
        self.shared[row.seq] = found
        self.held[row.seq] = self.done[row.seq] = len(found)
        return self.grow(row.seq, tokens)

    def grow(self, seq: int, tokens: int) -> bool:
        """Let a sequence hold what so many tokens take; tell whether there is room for that."""
        fine = super().grow(seq, tokens)
        while self.used + len(self.idle) > self.total:
            del self.idle[next(iter(self.idle))]
        return fine

    def computed(self, row: Row, tokens: int) -> None:
        """Let the full blocks among a sequence's first tokens be found by others.

        One whose like is here already stays the sequence's own.
        """
        first, last = self.done[row.seq], tokens // self.size
        for name in self._named(row, last)[first:last]:
            if name not in self.holders and name not in self.idle:
                self.holders[name] = 1
                self.shared[row.seq].append(name)
        self.done[row.seq] = max(first, last)

    def release(self, seq: int) -> None:
        """Take back what a sequence holds; what it shares is there until its room is needed."""
        shared = self.shared.pop(seq, [])
        self.used -= self.held.pop(seq, 0) - len(shared)
        for name in reversed(shared):
            self._let_go(name)
        self.done.pop(seq, None)
        self.names.pop(seq, None)

    def _found(self, row: Row) -> list[Name]:
        """Return the blocks that a text begins with and that are here; its last token is not."""
        most = max(0, row.context - 1) // self.size
        return [*takewhile(self._is_here, self._named(row, most)[:most])]

    def _is_here(self, name: Name) -> bool:
        return name in self.holders or name in self.idle

    def _held(self, names: list[Name]) -> int:
        return sum(name in self.holders for name in names)

    def _hold(self, name: Name) -> None:
        if name in self.idle:
            del self.idle[name]
            self.used += 1
        self.holders[name] = self.holders.get(name, 0) + 1

    def _let_go(self, name: Name) -> None:
        self.holders[name] -= 1
        if not self.holders[name]:
            del self.holders[name]
            self.idle[name] = None
            self.used -= 1

    def _named(self, row: Row, blocks: int) -> list[Name]:
        known = self.names.get(row.seq, [])
        if len(known) < blocks:
            known = self.names[row.seq] = self.naming.names(row)
        return known
