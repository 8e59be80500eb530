"""Worker processes: how they are started, what they do all day, and how they end."""

import atexit
import gc
import os
import signal
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from selectors import EVENT_READ, DefaultSelector
from types import FrameType
from typing import Any

from ssdreal.channel.messages import Command, Failed, Message, Role, Stop, decoded, encoded
from ssdreal.channel.remote import Remote
from ssdsim.errors import ConfigError

GRACE = 1.0
"""Seconds that a process gets to end before it is killed."""

INTERRUPTS = (signal.SIGINT, signal.SIGTERM)


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


def send(connection: "Connection[Any, Any]", message: Message) -> None:
    """Send a message."""
    connection.send_bytes(encoded(message))


def received(connection: "Connection[Any, Any]") -> Any:
    """Wait for a message.

    Raises
    ------
    EOFError
        The other process is gone.

    """
    return decoded(connection.recv_bytes())


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
            self._take(received(self.connection))
        return self.waiting.popleft()

    def stop(self, run: int, tree: int) -> Stop | None:
        """Return the stop that has come for this tree, without waiting."""
        while self.connection.poll():
            self._take(received(self.connection))
        return self.stops.pop((run, tree), None)

    def _take(self, message: Command | Stop) -> None:
        if isinstance(message, Stop):
            self.stops[message.run, message.tree] = message
        else:
            self.waiting.append(message)


def work(connection: "Connection[Any, Any]", hiring: Hiring) -> None:
    """Be a worker until the run's process closes the channel, or is gone."""
    threading.Thread(target=_end_with_the_run, daemon=True).start()
    mailbox = Mailbox(connection)
    try:
        server = _server(hiring)
        server.stop = mailbox.stop
        gc.freeze()  # a collection would walk all that torch has made, in the middle of a round
        send(connection, server.ready())
        while True:
            done = server.answer(mailbox.next())
            if done is not None:
                send(connection, done)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
    except BaseException as error:  # noqa: BLE001 - whatever it is, the run must hear of it
        _report(connection, error)


def _end_with_the_run() -> None:
    """End when the run's process does, in the middle of a command too: nobody waits for it."""
    run = parent_process()
    if run is not None:
        run.join()
        os._exit(1)


def _server(hiring: Hiring) -> Any:
    """Load the model and return its server. Torch is loaded here, never in the run's process."""
    import torch

    from ssdreal.models.catalog import load

    torch.set_num_threads(1)
    model = load(hiring.model, hiring.dtype, hiring.device, target=hiring.target)
    if hiring.role == "draft":
        from ssdreal.serving.draft_server import DraftServer

        return DraftServer(model)
    from ssdreal.serving.target_server import TargetServer

    return TargetServer(model)


def _report(connection: "Connection[Any, Any]", error: BaseException) -> None:
    with suppress(Exception):  # nobody is there to hear it, or no memory is left to say it
        send(connection, Failed(None, _last_words(error)))


def _last_words(error: BaseException) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError) or "allocate memory" in text or "out of memory" in text:
        return f"out of memory ({text})" if text else "out of memory"
    if isinstance(error, ConfigError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


class PipeChannel:
    """A process at the other end of a pipe, from `start` to `close`."""

    def __init__(self, hiring: Hiring) -> None:
        context = get_context("spawn")
        self.connection, self.theirs = context.Pipe()
        self.process: BaseProcess = context.Process(
            target=work, args=(self.theirs, hiring), name=f"ssdreal {hiring.role}", daemon=True
        )

    def start(self) -> None:
        """Start the process."""
        # Read when torch is imported; no pool of threads may spin beside the worker.
        os.environ["OMP_NUM_THREADS"] = "1"
        atexit.register(self.close)  # should everything else go wrong
        resource_tracker.ensure_running()  # which is started with it and would lift the block
        with _interrupts_held_back():
            self.process.start()
        self.theirs.close()  # so that the process's end closes the pipe

    def send(self, message: Command | Stop) -> None:
        """Send a message."""
        send(self.connection, message)

    def hang_up(self) -> None:
        """Let the process end at its own pace."""
        self.connection.close()

    def close(self, grace: float = GRACE) -> None:
        """End the process, if it does not do so within so many seconds by force."""
        self.hang_up()
        if self.process.pid is not None:
            self.process.join(max(grace, 0.0))
            self.process.kill()
            self.process.join()
        atexit.unregister(self.close)


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Let interrupts wait until the end.

    A process that is started meanwhile never hears of any: Ctrl-C goes to all processes of a
    terminal, and is the run's to handle.
    """
    came: list[int] = []

    def note(number: int, _: FrameType | None) -> None:  # where another thread takes the signal
        came.append(number)

    handlers = {interrupt: signal.signal(interrupt, note) for interrupt in INTERRUPTS}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for interrupt, handler in handlers.items():
            signal.signal(interrupt, handler)
        for number in came:
            signal.raise_signal(number)


class Inbox:
    """Waits for the answers of all worker processes at once, without polling."""

    def __init__(self, remotes: Sequence[Remote]) -> None:
        self.remotes = remotes
        self.selector = DefaultSelector()  # kept, since making one takes longer than a message
        for remote in remotes:
            self.selector.register(_connection(remote), EVENT_READ, remote)

    def wait(self, seconds: float | None) -> bool:
        """Take the answers that come within `seconds`; False if nobody owes one."""
        if not any(remote.pending and remote.lost is None for remote in self.remotes):
            return False
        for key, _ in self.selector.select(seconds):
            remote: Remote = key.data
            remote.receive(heard(remote))
            if remote.lost is not None:
                self.selector.unregister(key.fileobj)
        return True


def heard(remote: Remote) -> Any:
    """Return what a worker said; a process that is gone has failed."""
    try:
        return received(_connection(remote))
    except (EOFError, OSError):
        return Failed(None, _fate(remote))


def _connection(remote: Remote) -> "Connection[Any, Any]":
    assert isinstance(remote.channel, PipeChannel)
    return remote.channel.connection


def _fate(remote: Remote) -> str:
    """Say how a process ended."""
    assert isinstance(remote.channel, PipeChannel)
    process = remote.channel.process
    process.join(GRACE)
    code = process.exitcode
    if code is None or code >= 0:
        return f"its process ended (exit code {code})"
    memory = ", as happens when memory runs out" if -code == signal.SIGKILL else ""
    return f"its process was killed ({signal.Signals(-code).name}{memory})"
