"""A helper process, pinned to its own cores, for work that needs torch."""

import os
import signal
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
from typing import Any

from ssdreal.places.places import pin
from ssdsim.errors import RunError

GRACE = 1.0
"""Seconds that a process gets to end before it is killed."""


class Helper(AbstractContextManager["Helper"]):
    """A process pinned to some cores that calls functions, one at a time.

    A context manager: at its end the process is gone. It also goes when this one does. What a
    function keeps in its module stays there for the next call.

    Parameters
    ----------
    cores
        Cores to run on, with a thread each.

    """

    def __init__(self, cores: Sequence[int]) -> None:
        context = get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(
            target=_serve, args=(theirs, tuple(cores)), name="ssdreal bench", daemon=True
        )
        os.environ["OMP_NUM_THREADS"] = "1"  # read when torch is imported there
        self.process.start()
        theirs.close()

    def ask(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Let the process call a function; `answer` waits for what it returns."""
        self.connection.send((function, arguments))

    def answer(self) -> Any:
        """Return what the function returned.

        Raises
        ------
        RunError
            The function failed, or the process is gone.

        """
        try:
            right, value = self.connection.recv()
        except (EOFError, OSError) as error:
            raise RunError("a helper process of the bench is gone") from error
        if not right:
            raise RunError(f"a helper process of the bench failed:\n{value}")
        return value

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function in the process and return what it returns."""
        self.ask(function, *arguments)
        return self.answer()

    def close(self) -> None:
        """End the process: at its own pace if it is idle, by force if it works on."""
        self.connection.close()
        self.process.join(GRACE)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()

    def __exit__(self, *_: object) -> None:
        self.close()


def _serve(connection: "Connection[Any, Any]", cores: tuple[int, ...]) -> None:
    """Answer calls until the bench closes the channel."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the bench's to handle
    threading.Thread(target=_end_with_the_bench, daemon=True).start()
    os.environ["TRANSFORMERS_VERBOSITY"] = "error"
    import torch

    pin(cores)
    torch.set_num_threads(len(cores))
    try:
        while True:
            connection.send(_called(*connection.recv()))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


def _end_with_the_bench() -> None:
    """End when the bench's process does, in the middle of a call too: nobody waits for it."""
    bench = parent_process()
    if bench is not None:
        bench.join()
        os._exit(1)


def _called(function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[bool, Any]:
    try:
        return True, function(*arguments)
    except Exception:  # noqa: BLE001 - whatever it is, the bench must hear of it
        return False, traceback.format_exc()
