"""The worker processes of draft and target, started once and used by several runs."""

from contextlib import AbstractContextManager
from multiprocessing.connection import wait
from time import monotonic
from typing import Any, Protocol

from ssdreal.channel.messages import Failed, Ready
from ssdreal.channel.wire import PATIENCE
from ssdreal.workers.hiring import Hiring
from ssdreal.workers.inbox import Inbox, heard
from ssdreal.workers.lifetime import GRACE
from ssdreal.workers.process import WorkerProcess
from ssdreal.workers.remote import Remote, WorkerLost


class Crew(Protocol):
    """A target's and a draft's worker, in processes or in memory."""

    target: Remote
    draft: Remote
    ready: dict[str, Ready]

    def wait(self, seconds: float | None) -> bool:
        """Take answers; see `ssdreal.lanes.wall_clock.Wait`."""
        ...


class Processes(AbstractContextManager["Processes"]):
    """Worker processes for target and draft; a context manager, so that none outlives its use.

    They have one each, or one together. Without a draft the target is its own.

    Raises
    ------
    WorkerLost
        A process could not load its model; the message says why.

    """

    def __init__(self, target: Hiring, draft: Hiring | None = None) -> None:
        hirings = [target] if draft is None else [target, draft]
        groups = [hirings] if target.together else [[hiring] for hiring in hirings]
        self.processes = [WorkerProcess(*group) for group in groups]
        self.channels = [channel for process in self.processes for channel in process.channels]
        self.remotes = [
            Remote(hiring.role, channel)
            for hiring, channel in zip(hirings, self.channels, strict=True)
        ]
        self.target, self.draft = self.remotes[0], self.remotes[-1]
        self.inbox = Inbox(self.remotes, PATIENCE if target.polls else 0.0)
        self.ready: dict[str, Ready] = {}
        try:
            for process in self.processes:
                process.start()
            self._greet()
        except BaseException:
            self.close()
            raise

    def wait(self, seconds: float | None) -> bool:
        """Take the answers that come within `seconds`."""
        return self.inbox.wait(seconds)

    def close(self) -> None:
        """End the processes."""
        for process in self.processes:
            process.hang_up()
        until = monotonic() + GRACE
        for process in self.processes:
            process.close(until - monotonic())

    def __exit__(self, *_: object) -> None:
        self.close()

    def _greet(self) -> None:
        """Wait until all have loaded their models, or one cannot."""
        loading: dict[Any, Remote] = {
            channel.connection: remote
            for channel, remote in zip(self.channels, self.remotes, strict=True)
        }
        while loading:
            for connection in wait(list(loading)):
                remote = loading.pop(connection)
                first, *_ = heard(remote)
                if isinstance(first, Failed):
                    remote.lose(first.reason)
                    raise WorkerLost(f"the {remote.role} worker is gone: {remote.lost}")
                self.ready[remote.role] = first
