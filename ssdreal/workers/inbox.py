"""Waits for the answers of all worker processes at once, without polling."""

from collections.abc import Sequence
from select import POLLIN, poll
from typing import Any

from ssdreal.channel.messages import Failed
from ssdreal.workers.lifetime import exit_reason
from ssdreal.workers.process import PipeChannel
from ssdreal.workers.remote import Remote


class Inbox:
    """Takes the answers of worker processes."""

    def __init__(self, remotes: Sequence[Remote]) -> None:
        self.remotes = {_channel(remote).connection.fileno(): remote for remote in remotes}
        self.poll = poll()
        for number in self.remotes:
            self.poll.register(number, POLLIN)

    def wait(self, seconds: float | None) -> bool:
        """Take the answers that come within `seconds`; False if nobody owes one."""
        if not any(remote.pending and remote.lost is None for remote in self.remotes.values()):
            return False
        for number, _ in self.poll.poll(None if seconds is None else 1e3 * seconds):
            remote = self.remotes[number]
            for answer in heard(remote):
                remote.receive(answer)
            if remote.lost is not None:
                self.poll.unregister(number)
        return True


def heard(remote: Remote) -> list[Any]:
    """Return a worker's answers, in order; a process that is gone has failed."""
    try:
        return _channel(remote).wire.receive()
    except (EOFError, OSError):
        return [Failed(None, exit_reason(_channel(remote).process))]


def _channel(remote: Remote) -> PipeChannel:
    assert isinstance(remote.channel, PipeChannel)
    return remote.channel
