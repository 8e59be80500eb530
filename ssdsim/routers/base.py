"""The interface of routers: which replica a request goes to, told before its output is known."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from numpy.random import Generator


class Routing(Protocol):
    """A router at work in one run."""

    def choose(self, prefix: Sequence[int], outstanding: Sequence[int]) -> int:
        """Return the replica that a request goes to as it comes in.

        Parameters
        ----------
        prefix
            Ids of its prompt's blocks from the start; empty where nobody knows them.
        outstanding
            Requests at each replica that have come and are not finished, shape (replicas,).

        """
        ...


@runtime_checkable
class Router(Protocol):
    """The configuration of a router: a frozen dataclass, one file each in this folder."""

    def start(self, replicas: int, rng: Generator) -> Routing:
        """Return a fresh router for so many replicas."""
        ...
