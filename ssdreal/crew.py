"""The worker processes of a sitting: started once, used by one run after another."""

from types import TracebackType
from typing import Protocol, Self

from ssdreal.messages import Failed, Ready
from ssdreal.process import Hiring, Inbox, PipeChannel
from ssdreal.remote import Remote, WorkerLost


class Crew(Protocol):
    """A target and a draft at work, wherever they are."""

    target: Remote
    draft: Remote
    ready: dict[str, Ready]

    def wait(self, seconds: float | None) -> bool:
        """Take answers; see `ssdreal.clock.Wait`."""
        ...


class Processes:
    """A process each for target and draft; a context manager, so that none outlives its use.

    Raises
    ------
    WorkerLost
        A process could not load its model; the message says why.

    """

    def __init__(self, target: Hiring, draft: Hiring) -> None:
        self.channels = [PipeChannel(target), PipeChannel(draft)]
        self.target, self.draft = (
            Remote(hiring.role, channel)
            for hiring, channel in zip((target, draft), self.channels, strict=True)
        )
        self.inbox = Inbox([self.target, self.draft])
        try:
            self.ready = {
                remote.role: _greeting(remote, channel)
                for remote, channel in zip((self.target, self.draft), self.channels, strict=True)
            }
        except BaseException:
            self.close()
            raise

    def wait(self, seconds: float | None) -> bool:
        """Take the answers that come within `seconds`."""
        return self.inbox.wait(seconds)

    def close(self) -> None:
        """End both processes."""
        for channel in self.channels:
            channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _greeting(remote: Remote, channel: PipeChannel) -> Ready:
    """Wait until a worker has loaded its model."""
    try:
        first = channel.connection.recv()
    except (EOFError, OSError):
        channel.process.join()
        first = Failed(None, f"its process ended (exit code {channel.process.exitcode})")
    if isinstance(first, Failed):
        raise WorkerLost(f"the {remote.role} worker is gone: {first.reason}")
    found: Ready = first
    return found
