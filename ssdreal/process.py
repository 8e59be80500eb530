"""Worker processes: how they are started, what they do all day, and how they end."""

import os
import signal
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from ssdreal.messages import Command, Failed, Role, Stop
from ssdreal.remote import Remote

GRACE = 2.0
"""Seconds that a process gets to end before it is killed."""


@dataclass(frozen=True)
class Hiring:
    """What a worker process has to know before it starts.

    Attributes
    ----------
    role
        "target" or "draft".
    model, target
        Names of its model, and of the target whose embedding a draft may share.
    dtype, device
        Of the weights.
    """

    role: Role
    model: str
    target: str
    dtype: str
    device: str


class Mailbox:
    """A process's end of its channel: commands in order, and stops out of turn."""

    def __init__(self, connection: "Connection[Any, Any]") -> None:
        self.connection = connection
        self.waiting: deque[Command] = deque()
        self.stops: dict[tuple[int, int], Stop] = {}

    def next(self) -> Command:
        """Wait for the next command.

        Raises
        ------
        EOFError
            The run's process is gone.

        """
        while not self.waiting:
            self._take(self.connection.recv())
        return self.waiting.popleft()

    def stop(self, run: int, tree: int) -> Stop | None:
        """Return the stop that has come for this tree, without waiting."""
        while self.connection.poll():
            self._take(self.connection.recv())
        return self.stops.pop((run, tree), None)

    def _take(self, message: Command | Stop) -> None:
        if isinstance(message, Stop):
            self.stops[message.run, message.tree] = message
        else:
            self.waiting.append(message)


def work(connection: "Connection[Any, Any]", hiring: Hiring) -> None:
    """Be a worker until the run's process closes the channel."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the run's to handle
    mailbox = Mailbox(connection)
    try:
        server = _server(hiring)
        server.stop = mailbox.stop
        connection.send(server.ready())
        while True:
            done = server.answer(mailbox.next())
            if done is not None:
                connection.send(done)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
    except BaseException as error:  # noqa: BLE001 - whatever it is, the run must hear of it
        _report(connection, error)


def _server(hiring: Hiring) -> Any:
    """Load the model and return its server. Torch is loaded here, never in the run's process."""
    import torch

    from ssdreal.models import load

    torch.set_num_threads(1)
    model = load(hiring.model, hiring.dtype, hiring.device, target=hiring.target)
    if hiring.role == "draft":
        from ssdreal.draft_server import DraftServer

        return DraftServer(model)
    from ssdreal.target_server import TargetServer

    return TargetServer(model)


def _report(connection: "Connection[Any, Any]", error: BaseException) -> None:
    text = " ".join(str(error).split()) or type(error).__name__
    memory = isinstance(error, MemoryError) or "allocate memory" in text or "out of memory" in text
    reason = f"out of memory ({text})" if memory else f"{type(error).__name__}: {text}"
    try:
        connection.send(Failed(None, reason))
    except OSError:
        pass  # nobody is there to hear it


class PipeChannel:
    """A process at the other end of a pipe."""

    def __init__(self, hiring: Hiring) -> None:
        context = get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(
            target=work, args=(theirs, hiring), name=f"ssdreal {hiring.role}", daemon=True
        )
        # Read when torch is imported; no pool of threads may spin beside the worker.
        os.environ["OMP_NUM_THREADS"] = "1"
        self.process.start()
        theirs.close()  # so that the process's end closes the pipe

    def send(self, message: Command | Stop) -> None:
        """Send a message."""
        self.connection.send(message)

    def close(self) -> None:
        """End the process: at its own pace first, by force at last."""
        self.connection.close()
        self.process.join(GRACE)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


class Inbox:
    """Waits for the answers of all worker processes at once, without polling."""

    def __init__(self, remotes: Sequence[Remote]) -> None:
        self.remotes = remotes

    def wait(self, seconds: float | None) -> bool:
        """Take the answers that come within `seconds`; False if nobody owes one."""
        owing = [remote for remote in self.remotes if remote.pending and remote.lost is None]
        if not owing:
            return False
        connections = {_connection(remote): remote for remote in self.remotes if not remote.lost}
        for ready in wait(list(connections), seconds):
            remote = connections[ready]
            try:
                remote.receive(ready.recv())  # type: ignore[union-attr]
            except (EOFError, OSError):
                remote.lose(_fate(remote))
        return True


def _connection(remote: Remote) -> Any:
    assert isinstance(remote.channel, PipeChannel)
    return remote.channel.connection


def _fate(remote: Remote) -> str:
    """Say how a process ended."""
    assert isinstance(remote.channel, PipeChannel)
    process = remote.channel.process
    process.join(GRACE)
    code = process.exitcode
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        return f"its process was killed ({name})"
    return f"its process ended (exit code {code})"
