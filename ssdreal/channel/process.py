"""Worker processes: how they are started, what they do all day, and how they end."""

import atexit
import gc
import os
import signal
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any

from ssdreal.channel.messages import Command, Failed, Role, Stop
from ssdreal.channel.wire import Wire
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


class Mailbox:
    """A process's end of its channel: commands in order, and stops out of turn."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
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
            self._take()
        return self.waiting.popleft()

    def stop(self, run: int, tree: int) -> Stop | None:
        """Return the stop that has come for this tree, without waiting."""
        while self.wire.has_more():
            self._take()
        return self.stops.pop((run, tree), None)

    def _take(self) -> None:
        for message in self.wire.receive():
            if isinstance(message, Stop):
                self.stops[message.run, message.tree] = message
            else:
                self.waiting.append(message)


def work(connection: "Connection[Any, Any]", hiring: Hiring) -> None:
    """Be a worker until the run's process closes the channel, or is gone."""
    threading.Thread(target=_end_with_the_run, daemon=True).start()
    _give_way()
    wire = Wire(connection)
    mailbox = Mailbox(wire)
    try:
        server = _server(hiring)
        server.stop = mailbox.stop
        gc.freeze()  # a collection would walk all that torch has made, in the middle of a round
        wire.send(server.ready())
        while True:
            done = server.answer(mailbox.next())
            if done is not None:
                wire.send(done)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
    except BaseException as error:  # noqa: BLE001 - whatever it is, the run must hear of it
        _report(wire, error)


def _give_way() -> None:
    """Never take the core from the run's process on waking up.

    Else a worker begins when its message arrives, and a message that the run was about to send to
    the other one may wait for the end of a time slice: 2 to 5 ms, in a quarter of the rounds once.
    Tokens/s do not gain by it beyond their scatter; that a message takes about the same time every
    time is what it is for, since a simulation knows one time.
    """
    if hasattr(os, "SCHED_BATCH"):  # Linux
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


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
    from ssdreal.serving.self_server import SelfServer

    return SelfServer(model)


def _report(wire: Wire, error: BaseException) -> None:
    with suppress(Exception):  # nobody is there to hear it, or no memory is left to say it
        wire.send(Failed(None, _last_words(error)))


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
        self.wire = Wire(self.connection)
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
        self.wire.send(message)

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
