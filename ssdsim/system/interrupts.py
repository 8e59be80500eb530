"""Signals (Ctrl-C, SIGTERM, SIGHUP): who hears of them, and when.

They wait while files are written or others work, are kept from processes that are started, and
are known again where a library makes another error of one.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from threading import Event, Thread, current_thread, main_thread
from types import FrameType
from typing import Any, NoReturn

INTERRUPTS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)

_raised = 0
"""Interrupts that raised an error, whatever a library made of it."""


def interruptible() -> None:
    """Let all of them raise `KeyboardInterrupt`, so that what there is can be saved.

    Those that were ignored when the process started stay so, as `nohup` asks.
    """
    for interrupt in INTERRUPTS:
        if signal.getsignal(interrupt) in {signal.SIG_DFL, signal.default_int_handler}:
            signal.signal(interrupt, _interrupt)


def _interrupt(*_: object) -> NoReturn:
    global _raised  # noqa: PLW0603 - signals come to the process
    _raised += 1
    raise KeyboardInterrupt


@contextmanager
def undisguised() -> Iterator[None]:
    """Raise `KeyboardInterrupt` where an interrupt ends in another error.

    Libraries that are interrupted in the middle of a step make errors of their own of it.
    """
    before = _raised
    try:
        yield
    except Exception as error:
        if _raised > before:
            raise KeyboardInterrupt from error
        raise


@contextmanager
def held_back() -> Iterator[None]:
    """Let interrupts wait until the end; the first that came is delivered then.

    A thread that is not the main one hears of none, and may not ask for them either.
    """
    with _noting(lambda _: None):
        yield


@contextmanager
def awaiting(end: Callable[[], None]) -> Iterator[None]:
    """Call `end` at the first interrupt, which is delivered at the end; a second one is at once."""

    def told(times: int) -> None:
        if times > 1:
            _interrupt()
        end()

    with _noting(told):
        yield


@contextmanager
def _noting(told: Callable[[int], None]) -> Iterator[None]:
    """Say of every interrupt how many there were; deliver the first at the end."""
    if current_thread() is not main_thread():
        yield
        return
    came: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        came.append(number)
        told(len(came))

    handlers = {interrupt: signal.signal(interrupt, note) for interrupt in INTERRUPTS}
    try:
        yield
    finally:
        for interrupt, handler in handlers.items():
            signal.signal(interrupt, handler)
        if came:
            _deliver(came[0], handlers[came[0]])


def _deliver(interrupt: int, handler: Any) -> None:
    """Handle an interrupt here and now: raised, it would wait where this thread blocks it."""
    if callable(handler):
        handler(interrupt, None)
    else:
        signal.raise_signal(interrupt)


@contextmanager
def unheard_by_children() -> Iterator[None]:
    """Let no process that is started meanwhile hear of interrupts.

    Ctrl-C goes to all processes of a terminal, and is this one's to handle: it still does.
    """
    over = Event()
    listener = Thread(target=over.wait, daemon=True)  # hears what the main thread is deaf to
    listener.start()
    try:
        with blocked():
            yield
    finally:
        over.set()


@contextmanager
def heard() -> Iterator[None]:
    """Hear of interrupts, also in a process that was started to hear of none."""
    interruptible()
    with _masked("SIG_UNBLOCK"):
        yield


@contextmanager
def blocked() -> Iterator[None]:
    """Block interrupts in this thread and in processes and threads started meanwhile."""
    if os.name == "posix":
        resource_tracker.ensure_running()  # which is started with the first process, and lifts it
    with _masked("SIG_BLOCK"):
        yield


@contextmanager
def _masked(how: str) -> Iterator[None]:
    """Change whether this thread hears of interrupts; Windows knows no such thing."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(getattr(signal, how), INTERRUPTS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
