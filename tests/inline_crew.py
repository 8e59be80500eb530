"""Workers in the test's own process, behind a channel that can be made to misbehave."""

from collections import deque
from dataclasses import dataclass, field

from ssdreal.draft_server import DraftServer
from ssdreal.messages import Stop
from ssdreal.remote import Remote
from ssdreal.target_server import TargetServer
from ssdreal.topology import Place, Places

HERE = Places(Place("cpu", ()), Place("cpu", ()))


@dataclass(eq=False)
class InlineChannel:
    """Commands wait here until the run waits for answers; then one of them is carried out.

    `double` repeats every n-th message both ways, `shuffle` lets a command overtake its
    predecessor, `delay` holds every n-th answer back for a while, `dies_after` commands the
    worker is gone.
    """

    server: object
    double: int = 0
    delay: int = 0
    late_stops: bool = False
    dies_after: int | None = None
    commands: deque = field(default_factory=deque)
    answers: deque = field(default_factory=deque)
    stops: dict = field(default_factory=dict)
    count: int = 0

    def __post_init__(self):
        self.server.stop = lambda run, tree: self.stops.pop((run, tree), None)

    def send(self, message):
        if self.dies_after is not None and self.count >= self.dies_after:
            raise BrokenPipeError
        if isinstance(message, Stop):
            self.stops[message.run, message.tree] = message
            return
        self.commands.append(message)

    def work(self):
        """Carry out one command; return whether there was anything to do."""
        if self.commands:
            command = self.commands.popleft()
            self.count += 1
            if self.dies_after is not None and self.count > self.dies_after:
                return None
            repeated = self.double and self.count % self.double == 0
            for _ in range(2 if repeated else 1):
                done = self.server.answer(command)
                if done is not None:
                    patience = 3 if self.delay and self.count % self.delay == 0 else 0
                    self.answers.append([patience, done])
                    if repeated:
                        self.answers.append([patience, done])
            return True
        return bool(self.answers)

    def taken(self):
        """Return the answers that have waited long enough."""
        for answer in self.answers:
            answer[0] -= 1
        due = [done for patience, done in self.answers if patience < 0]
        self.answers = deque(answer for answer in self.answers if answer[0] >= 0)
        return due


class InlineCrew:
    """A crew without processes. `target` and `draft` are models; faults go to their channels."""

    def __init__(self, target, draft, target_faults=None, draft_faults=None):
        self.channels = {
            "target": InlineChannel(TargetServer(target), **(target_faults or {})),
            "draft": InlineChannel(DraftServer(draft), **(draft_faults or {})),
        }
        self.target, self.draft = (Remote(role, self.channels[role]) for role in self.channels)
        self.ready = {role: channel.server.ready() for role, channel in self.channels.items()}

    def wait(self, seconds):
        owed = False
        for remote in (self.draft, self.target):
            channel = self.channels[remote.role]
            if remote.lost:
                continue
            worked = channel.work()
            if worked is None:
                remote.lose("it died in a test")
            for done in channel.taken():
                remote.receive(done)
            owed = owed or bool(remote.pending) or bool(worked)
        return owed or any(r.pending for r in (self.draft, self.target))
