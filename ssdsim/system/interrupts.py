"""Signals (Ctrl-C, SIGTERM, SIGHUP): held back while files are written, delivered afterwards."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from types import FrameType

INTERRUPTS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


def interruptible() -> None:
    """Let all of them raise `KeyboardInterrupt`, so that what there is can be saved.

    Those that were ignored when the process started stay so, as `nohup` asks.
    """
    for interrupt in INTERRUPTS:
        if signal.getsignal(interrupt) is signal.SIG_DFL:
            signal.signal(interrupt, signal.default_int_handler)


@contextmanager
def held_back() -> Iterator[None]:
    """Let interrupts wait until the end; the first that came is delivered then.

    A thread that is not the main one hears of none, and may not ask for them either.
    """
    if current_thread() is not main_thread():
        yield
        return
    came: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        came.append(number)

    handlers = {interrupt: signal.signal(interrupt, note) for interrupt in INTERRUPTS}
    try:
        yield
    finally:
        for interrupt, handler in handlers.items():
            signal.signal(interrupt, handler)
        if came:
            signal.raise_signal(came[0])
