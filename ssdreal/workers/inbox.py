"""Waits for the answers of all worker processes at once."""

from collections.abc import Sequence
from select import POLLIN, poll
from typing import Any

from ssdreal.channel.messages import Failed
from ssdreal.channel.wire import awaited
from ssdreal.workers.lifetime import exit_reason
from ssdreal.workers.process import PipeChannel
from ssdreal.workers.remote import Remote


class Inbox:
    """Takes the answers of worker processes.

    Parameters
    ----------
    remotes
        The workers.
    patience
        Seconds for which it asks for answers again and again before it blocks.

    """

    def __init__(self, remotes: Sequence[Remote], patience: float = 0.0) -> None:
        self.patience = patience
        self.remotes = {_channel(remote).connection.fileno(): remote for remote in remotes}
        self.poll = poll()
        for number in self.remotes:
            self.poll.register(number, POLLIN)

    def wait(self, seconds: float | None) -> bool:
        """Take the answers that come within `seconds`; False if nobody owes one."""
        if not any(remote.pending and remote.lost is None for remote in self.remotes.values()):
            return False
        for number, _ in self._ready(seconds):
            remote = self.remotes[number]
            for answer in heard(remote):
                remote.receive(answer)
            if remote.lost is not None:
                self.poll.unregister(number)
        return True

    def _ready(self, seconds: float | None) -> list[tuple[int, int]]:
        """Return the pipes that have something within `seconds`."""
        patience = self.patience if seconds is None else min(self.patience, seconds)
        found = awaited(self.poll.poll, patience)
        if found is not None:
            return found
        return self.poll.poll(None if seconds is None else 1e3 * (seconds - patience))


def heard(remote: Remote) -> list[Any]:
    """Return a worker's answers, in order; a process that is gone has failed."""
    try:
        return _channel(remote).wire.receive()
    except (EOFError, OSError):
        return [Failed(None, exit_reason(_channel(remote).process))]


def _channel(remote: Remote) -> PipeChannel:
    assert isinstance(remote.channel, PipeChannel)
    return remote.channel
