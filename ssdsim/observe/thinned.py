"""Keeps some of any number of things, spread evenly over them: a log may have gigabytes."""

from dataclasses import dataclass, field
from typing import Generic, TypeVar

Thing = TypeVar("Thing")
MOST = 16_384


@dataclass
class Thinned(Generic[Thing]):
    """All things up to `most`, then every second one, every fourth, and so on.

    Attributes
    ----------
    most
        How many are kept.
    seen
        How many there were.

    """

    most: int = MOST
    seen: int = 0
    kept: list[Thing] = field(default_factory=list)
    stride: int = 1

    def add(self, thing: Thing) -> None:
        """Take another one in, or leave it out."""
        if self.seen % self.stride == 0:
            self.kept.append(thing)
        self.seen += 1
        if len(self.kept) > self.most:
            self.kept = self.kept[::2]
            self.stride *= 2
