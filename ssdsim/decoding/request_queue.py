"""The queue before a session: who has come and is not admitted, and whether more will come."""

from collections import deque
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

from simpy import Environment, Event

from ssdsim.decoding.protocol import Row


@dataclass
class RequestQueue:
    """Sequences in the order in which they are admitted.

    Attributes
    ----------
    env
        The clock.
    waiting
        Those that have come.
    expecting
        Whether more are on their way.

    """

    env: Environment
    waiting: deque[Row] = field(default_factory=deque)
    expecting: bool = False
    _news: Event | None = field(default=None, init=False)

    def receive(self, row: Row) -> None:
        """Let a sequence wait."""
        self.waiting.append(row)
        self._tell()

    def expect(self, more: bool) -> None:
        """Take note whether more are on their way."""
        self.expecting = more
        self._tell()

    def someone(self) -> Generator[Event, Any, None]:
        """Wait until somebody waits, or nobody is expected any more."""
        while not self.waiting and self.expecting:
            self._news = self.env.event()
            yield self._news

    def _tell(self) -> None:
        news, self._news = self._news, None
        if news is not None:
            news.succeed()
