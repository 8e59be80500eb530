"""Sends and receives messages over a pipe in as few system calls and Python steps as possible."""

import os
from collections.abc import Callable
from multiprocessing.connection import Connection
from select import POLLIN, poll
from threading import Lock
from time import perf_counter
from typing import Any, TypeVar

from ssdreal.channel.message_parts import Message
from ssdreal.channel.messages import decoded, encoded

Found = TypeVar("Found")

HEAD = 4
"""Bytes that say how long a message is."""

READ = 1 << 16
"""Bytes read at a time: more than a usual message has."""

PATIENCE = 0.02
"""Seconds that a pass and what is behind it hardly ever take."""


def awaited(ask: Callable[[float], Found], patience: float) -> Found | None:
    """Return what there is within `patience` seconds, asking again and again; None: nothing.

    Who blocks has to be woken up, which takes as long as all else about a message. Who asks keeps a
    core busy.
    """
    until = perf_counter() + patience
    while perf_counter() < until:
        if found := ask(0):
            return found
    return None


class Wire:
    """One end of a connection, which it uses without that one's own framing.

    Attributes
    ----------
    connection
        The end.
    rest
        The beginning of a message whose end has not come.
    patience
        Seconds for which it asks for a message again and again before it blocks: see `awaited`.

    """

    patience: float = 0.0

    def __init__(self, connection: "Connection[Any, Any]") -> None:
        self.connection, self.rest = connection, b""
        self.turn = Lock()  # a thread that watches over a worker may have the last word
        self.poll = poll()
        self.poll.register(connection.fileno(), POLLIN)

    def send(self, message: Message) -> None:
        """Send a message.

        Raises
        ------
        OSError
            The other end is gone, or this one is closed.

        """
        body = encoded(message)
        data = memoryview(len(body).to_bytes(HEAD, "little") + body)
        with self.turn:
            while data:
                data = data[os.write(self.connection.fileno(), data) :]

    def receive(self) -> list[Any]:
        """Wait for a message, and return all that have come, at least one.

        Raises
        ------
        EOFError, OSError
            The other end is gone.

        """
        found: list[Any] = []
        while not found:
            awaited(self.poll.poll, self.patience)
            data = os.read(self.connection.fileno(), READ)
            if not data:
                raise EOFError
            self.rest += data
            while (end := self._end()) <= len(self.rest):
                found.append(decoded(self.rest[HEAD:end]))
                self.rest = self.rest[end:]
        return found

    def has_more(self) -> bool:
        """Whether anything has come."""
        return bool(self.poll.poll(0))

    def _end(self) -> int:
        """Return where the first message ends, or will."""
        if len(self.rest) < HEAD:
            return HEAD
        return HEAD + int.from_bytes(self.rest[:HEAD], "little")
