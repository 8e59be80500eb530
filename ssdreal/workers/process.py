"""Worker processes: starting one, its loop over commands, and its end."""

import atexit
import gc
import os
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from ssdreal.channel.messages import Command, Failed, Stop
from ssdreal.channel.wire import PATIENCE, Wire
from ssdreal.workers.hiring import Hiring
from ssdreal.workers.lifetime import GRACE, end_with_the_parent, last_error, lower_priority
from ssdreal.workers.logs import drop_if_empty, log_to, new_log
from ssdreal.workers.sharded_processes import Followers
from ssdsim.system.interrupts import blocked, held_back

TURN = 1e-4
"""Seconds that a thread may hold the interpreter while another waits for it; Python's own 5 ms are
as long as a round."""


class Mailbox:
    """A worker's end of its channel: commands in order, and stops out of turn."""

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


def work(*seats: tuple["Connection[Any, Any]", Hiring]) -> None:
    """Run one worker, or several with a thread each, until the run closes the pipe or is gone.

    What a thread needs of its own (cores, a number of threads, a stream) it sets up when a run
    begins. One that cannot load its model, or fails, says so, and the others go on.
    """
    loaded: list[tuple[Wire, Any, ExitStack]] = []
    for connection, hiring in seats:  # one by one: transformers does not import in two threads
        wire = Wire(connection)
        # Two threads of one process take turns as it is: each asking would stop the other.
        wire.patience = PATIENCE if hiring.polls and len(seats) == 1 else 0.0
        with _last_words(wire), ExitStack() as ranks:
            followers = ranks.enter_context(Followers(hiring, partial(_report, wire)))
            server = _server(hiring)
            followers.lead(server)
            loaded.append((wire, server, ranks.pop_all()))
    gc.freeze()  # a collection would walk all that torch has made, in the middle of a round
    if len(loaded) == 1:
        _serve(*loaded[0])
        return
    sys.setswitchinterval(TURN)
    threads = [threading.Thread(target=partial(_serve, *one)) for one in loaded]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def work_apart(*seats: tuple["Connection[Any, Any]", Hiring], log: Path) -> None:
    """Do so as a process of its own, whose standard error goes to a log."""
    log_to(log)
    threading.Thread(target=end_with_the_parent, args=[log], daemon=True).start()
    lower_priority()
    work(*seats)


def _serve(wire: Wire, server: Any, ranks: ExitStack) -> None:
    """Answer commands until the run's process hangs up."""
    mailbox = Mailbox(wire)
    server.stop, server.tell = mailbox.stop, wire.send
    with _last_words(wire), ranks:
        wire.send(server.ready())
        while True:
            done = server.answer(mailbox.next())
            if done is not None:
                wire.send(done)


@contextmanager
def _last_words(wire: Wire) -> Iterator[None]:
    """Let the run hear of whatever ends this, and close the channel then."""
    try:
        yield
    except BaseException as error:  # noqa: BLE001 - whatever it is
        if not isinstance(error, EOFError | BrokenPipeError | ConnectionResetError):
            _report(wire, last_error(error))
        wire.connection.close()


def _server(hiring: Hiring) -> Any:
    """Load the model and return its server. Torch is loaded here, never in the run's process."""
    import torch

    from ssdreal.workers.loading import load

    torch.set_num_threads(1)
    share = _share(hiring)
    asked = {"target": hiring.target, "share": share, "vocabulary": hiring.vocabulary}
    model = load(hiring.model, hiring.dtype, hiring.device, **asked)
    return _on_the_host(hiring, model) if hiring.device == "cpu" else _static(hiring, model)


def _static(hiring: Hiring, model: Any) -> Any:
    from ssdreal.static.server import CAPTURES

    capturing = CAPTURES[hiring.passes]
    if hiring.role == "draft":
        from ssdreal.static.draft_server import StaticDraftServer

        return StaticDraftServer(model, capturing)
    from ssdreal.static.target_server import StaticSelfServer

    return StaticSelfServer(model, capturing)


def _on_the_host(hiring: Hiring, model: Any) -> Any:
    if hiring.role == "draft":
        from ssdreal.serving.draft_server import DraftServer

        return DraftServer(model)
    from ssdreal.serving.self_server import SelfServer

    return SelfServer(model)


def _share(hiring: Hiring) -> Any:
    """Return the first rank's share of a sharded model, else None."""
    if not hiring.others:
        return None
    from ssdreal.sharding.weight_shares import Share

    return Share(0, 1 + len(hiring.others))


def _report(wire: Wire, reason: str) -> None:
    with suppress(Exception):  # nobody is there to hear it, or no memory is left to say it
        wire.send(Failed(None, reason))


class PipeChannel:
    """The run's end of a pipe to a worker.

    Attributes
    ----------
    process
        The one at its other end.
    stderr
        Where that one's standard error goes; None: where this one's does.

    """

    process: BaseProcess
    stderr: Path | None = None

    def __init__(self) -> None:
        self.connection, self.theirs = get_context("spawn").Pipe()
        self.wire = Wire(self.connection)

    def send(self, message: Command | Stop) -> None:
        """Send a message."""
        self.wire.send(message)

    def hang_up(self) -> None:
        """Let the worker end at its own pace."""
        self.connection.close()


class WorkerProcess:
    """A process with a worker, or with several, from `start` to `close`.

    Attributes
    ----------
    channels
        One to each of them.

    """

    def __init__(self, *hirings: Hiring) -> None:
        self.channels = [PipeChannel() for _ in hirings]
        roles = [hiring.role for hiring in hirings]
        self.log = new_log("_".join(roles))
        self.process: BaseProcess = get_context("spawn").Process(
            target=work_apart,
            args=[(one.theirs, hiring) for one, hiring in zip(self.channels, hirings, strict=True)],
            kwargs={"log": self.log},
            name=f"ssdreal {' and '.join(roles)}",
            daemon=not any(hiring.others for hiring in hirings),  # a daemon may start none
        )

    def start(self) -> None:
        """Start the process."""
        # Read when torch is imported; no pool of threads may spin beside the worker.
        os.environ["OMP_NUM_THREADS"] = "1"
        atexit.register(self.close)  # should everything else go wrong
        with _interrupts_held_back():
            self.process.start()
        for channel in self.channels:
            channel.process, channel.stderr = self.process, self.log
            channel.theirs.close()  # so that the process's end closes the pipe

    def hang_up(self) -> None:
        """Let the process end at its own pace."""
        for channel in self.channels:
            channel.hang_up()

    def close(self, grace: float = GRACE) -> None:
        """End the process, if it does not do so within so many seconds by force."""
        self.hang_up()
        if self.process.pid is not None:
            self.process.join(max(grace, 0.0))
            self.process.kill()
            self.process.join()
        drop_if_empty(self.log)
        atexit.unregister(self.close)


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Hold interrupts back, also from a process that is started meanwhile: it never hears of any.

    Ctrl-C goes to all processes of a terminal, and is the run's to handle.
    """
    with held_back(), blocked():
        yield
