"""A crew without processes: both models' servers work in this thread, one command at a time.

So a run can be looked at from inside. Nothing happens side by side.
"""

from collections import deque
from pathlib import Path
from typing import Any

from ssdreal.channel.messages import Command, Ready, Stop
from ssdreal.workers.remote import Remote


class InProcess:
    """Carries out the commands of a run when it waits for answers; a `ssdreal.workers.crew.Crew`.

    Parameters
    ----------
    target, draft
        Their servers.

    """

    def __init__(self, target: Any, draft: Any) -> None:
        self.channels = {"target": Direct(target), "draft": Direct(draft)}
        self.target = Remote("target", self.channels["target"])
        self.draft = Remote("draft", self.channels["draft"])
        self.ready: dict[str, Ready] = {
            role: channel.server.ready() for role, channel in self.channels.items()
        }

    def wait(self, seconds: float | None) -> bool:  # noqa: ARG002 - answers are there at once
        """Carry out what was asked; False if nothing was."""
        asked = False
        for remote in (self.draft, self.target):
            for answer in self.channels[remote.role].answers():
                asked = True
                remote.receive(answer)
        return asked


class Direct:
    """Keeps commands for a server until answers are wanted."""

    stderr: Path | None = None

    def __init__(self, server: Any) -> None:
        self.server = server
        self.commands: deque[Command] = deque()

    def send(self, message: Command | Stop) -> None:
        """Take a message; a stop comes when what it would stop is done."""
        if not isinstance(message, Stop):
            self.commands.append(message)

    def answers(self) -> list[Any]:
        """Carry out all commands, and return the answers."""
        done = []
        while self.commands:
            done.append(self.server.answer(self.commands.popleft()))
        return [one for one in done if one is not None]
