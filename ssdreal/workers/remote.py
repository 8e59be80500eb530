"""The run's end of a worker: sends commands, and turns answers into SimPy events."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from simpy import Environment, Event

from ssdreal.channel.message_parts import Line, Stamp
from ssdreal.channel.messages import Command, Done, Failed, Spoken, Stop
from ssdreal.places.places import Role
from ssdreal.workers.logs import with_log
from ssdsim.errors import RunError


class WorkerLost(RunError):  # noqa: N818 - "lost" says that it is an error
    """A worker that the run cannot do without is gone; the message says which and why."""


class Channel(Protocol):
    """A way to a worker.

    Attributes
    ----------
    stderr
        Where the worker's standard error goes; None: where the run's does.

    """

    stderr: Path | None

    def send(self, message: Command | Stop) -> None:
        """Send a message.

        Raises
        ------
        OSError
            The worker is gone.

        """
        ...


@dataclass(eq=False)
class Remote:
    """One worker as a run sees it.

    Attributes
    ----------
    role
        "target" or "draft".
    channel
        The way to it.
    run
        Number of the run under way; answers to an earlier one are not taken.
    asked
        The stamp of the last command.
    lost
        Why the worker is gone; None while it lives.
    failed
        Why it could not carry out a command of this run, though it lives; None: it always could.
    busy
        Nanoseconds of work, and of it in model passes, in this run.
    hearing
        What is waited for on the way to an answer.
    on_done
        Called with every answer that is taken.

    """

    role: Role
    channel: Channel
    env: Environment | None = None
    run: int = 0
    number: int = 0
    asked: Stamp = Stamp(0, 0)
    lost: str | None = None
    failed: str | None = None
    pending: dict[Stamp, Event] = field(default_factory=dict)
    hearing: dict[Stamp, Event] = field(default_factory=dict)
    busy: int = 0
    passes: int = 0
    on_lost: Callable[[str], None] = lambda _: None
    on_done: Callable[[Done], None] = lambda _: None

    def attach(self, env: Environment) -> None:
        """Serve a new run, on its clock."""
        self.env, self.run = env, self.run + 1
        self.pending.clear()
        self.hearing.clear()
        self.failed = None
        self.busy = self.passes = 0

    def ask(self, kind: type, lines: tuple[Line, ...] = (), **fields: Any) -> Event:
        """Send a command; the event's value is the answer, or None if the worker is lost."""
        assert self.env is not None
        self.number += 1
        rows = tuple((line.seq, line.round, len(line.tokens)) for line in lines)
        stamp = self.asked = Stamp(self.run, self.number, rows)
        event = self.pending[stamp] = self.env.event()
        if lines:
            fields["lines"] = lines
        self._send(kind(stamp=stamp, **fields))
        return event

    def stop(self, tree: int, winners: tuple[tuple[int, int] | None, ...], finish: bool) -> None:
        """Change the tree that is being grown under command number `tree`."""
        self._send(Stop(self.run, tree, winners, finish))

    def hear(self) -> Event:
        """Return what the worker says on the way to the answer to the last command."""
        assert self.env is not None
        self.hearing = {self.asked: self.env.event()}
        return self.hearing[self.asked]

    def receive(self, answer: Done | Failed | Spoken) -> None:
        """Take an answer; one that nobody waits for is late or doubled, and changes nothing."""
        if isinstance(answer, Failed):
            self._fail(answer)
            return
        if isinstance(answer, Spoken):
            self._heard(answer)
            return
        event = self.pending.pop(answer.stamp, None)
        if event is None:
            return
        self.busy += answer.end - answer.start
        self.passes += answer.passes
        self.on_done(answer)
        self._tick()
        event.succeed(answer)

    def _heard(self, spoken: Spoken) -> None:
        event = self.hearing.pop(spoken.stamp, None)
        if event is not None:
            self._tick()
            event.succeed(spoken)

    def _fail(self, failed: Failed) -> None:
        """Give the worker up, or no more than the command that it could not carry out."""
        if failed.stamp is None:
            self.lose(failed.reason)
        elif event := self.pending.pop(failed.stamp, None):
            self.failed = failed.reason
            self._tick()
            event.succeed(None)

    def lose(self, reason: str) -> None:
        """Give the worker up. A run goes on without its draft, not without its target."""
        if self.lost is None:
            self.lost = with_log(reason, self.channel.stderr)
            self.on_lost(self.lost)
        self._tick()
        pending, self.pending = self.pending, {}
        for event in pending.values():
            if self.role == "target":
                event.fail(WorkerLost(f"the {self.role} worker is gone: {self.lost}"))
            else:
                event.succeed(None)

    def _send(self, message: Command | Stop) -> None:
        if self.lost is not None:
            self.lose(self.lost)  # which answers what was just asked
            return
        try:
            self.channel.send(message)
        except OSError as error:
            self.lose(f"its channel is closed ({error.strerror or type(error).__name__})")

    def _tick(self) -> None:
        tick = getattr(self.env, "tick", None)
        if tick is not None:
            tick()
