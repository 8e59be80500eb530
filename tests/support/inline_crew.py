"""Workers in the test's own process, behind channels that can be made to misbehave."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from ssdreal.channel.messages import Begin, Failed, Stop, decoded, encoded
from ssdreal.executor.execution import Execution
from ssdreal.executor.workload import Task
from ssdreal.places.places import Place, Places
from ssdreal.serving import draft_server, target_server
from ssdreal.serving.draft_server import DraftServer
from ssdreal.serving.self_server import SelfServer
from ssdreal.workers.remote import Remote
from ssdsim.decoding.detail import Detail
from ssdsim.errors import RunError

HOST = SelfServer, DraftServer
SERVING = draft_server, target_server
HERE = Places(Place("cpu", ()), Place("cpu", ()))
TURNS = 3  # that a delayed answer or a replayed command comes late


@dataclass(frozen=True)
class Faults:
    """What happens to a worker and its messages; every n-th is hit, 0 means none.

    Attributes
    ----------
    double
        Commands that come twice in a row, and so do their answers.
    replay
        Commands that come again when the worker has carried out `TURNS` others.
    slow
        Commands that the worker begins late, when the run has waited `TURNS` times more.
    delay
        Answers that are held back as long.
    stop_after
        Steps that a tree goes on growing when it is told to stop.
    dies_after
        Commands after which the worker is gone; None: it lives.
    dies
        How the run hears of that: the pipe is broken when it sends the next command, or the
        worker is gone or fails while it works on it.

    """

    double: int = 0
    replay: int = 0
    slow: int = 0
    delay: int = 0
    stop_after: Callable[[int], int] = lambda _: 0
    dies_after: int | None = None
    dies: str = "sending"


class InlineChannel:
    """Commands wait here until the run waits for answers; then one of them is carried out.

    Attributes
    ----------
    log
        Commands carried out, with what came of them.
    told
        What it has said on the way.
    refused
        Kinds of commands that came too late to be carried out.

    """

    stderr = None

    def __init__(self, server, faults):
        self.server, self.faults = server, faults
        self.commands, self.answers, self.replays, self.stops = deque(), [], deque(), {}
        self.log, self.refused = [], []
        self.count = self.idle = 0
        self.spoken, self.told = [], []
        server.stop, server.tell = self._stop, self.spoken.append

    @property
    def dead(self):
        return self.faults.dies_after is not None and self.count >= self.faults.dies_after

    def send(self, message):
        if self.dead and self.faults.dies == "sending":
            raise BrokenPipeError(32, "Broken pipe")
        message = decoded(encoded(message))
        if isinstance(message, Stop):
            self.stops[message.run, message.tree] = message, self.faults.stop_after(message.tree)
        else:
            self.commands.append(message)

    def work(self):
        """Carry out a command; return the worker's last words where it has any."""
        if not self.commands:
            return None
        if self.dead:
            self.commands.clear()
            return self.faults.dies
        if self.idle < TURNS and self.faults.slow and (self.count + 1) % self.faults.slow == 0:
            self.idle += 1
            return None
        self.idle = 0
        command = self.commands.popleft()
        self.count += 1
        again = self._hit(self.faults.double)
        for message in [command] * (2 if again else 1):
            self._carry_out(message, again)
        if self._hit(self.faults.replay):
            self.replays.append((self.count + TURNS, command))
        while self.replays and self.replays[0][0] <= self.count:
            self._carry_out(self.replays.popleft()[1], again)
        return None

    def taken(self):
        """Return the answers that have waited long enough."""
        self.answers = [(patience - 1, done) for patience, done in self.answers]
        due = [done for patience, done in self.answers if patience < 0]
        self.answers = [answer for answer in self.answers if answer[0] >= 0]
        return due

    def _hit(self, every):
        return bool(every) and self.count % every == 0

    def _carry_out(self, command, again):
        done = self.server.answer(command)
        if done is None:
            self.refused.append(type(command).__name__)
            return
        if isinstance(command, Begin):
            _refuse_junk(self.server)
        self.log.append((command, done.value))
        patience = TURNS if self._hit(self.faults.delay) else 0
        if self.spoken:  # the rest of a pass takes a while
            patience += TURNS
            self.answers += [(0, decoded(encoded(said))) for said in self.spoken]
            self.told += self.spoken
            self.spoken.clear()
        self.answers += [(patience, decoded(encoded(done)))] * (2 if again else 1)

    def _stop(self, run, tree):
        stop, steps = self.stops.get((run, tree), (None, 0))
        if steps:
            self.stops[run, tree] = stop, steps - 1
            return None
        self.stops.pop((run, tree), None)
        return stop


class InlineCrew:
    """A crew without processes; `target` and `draft` are models at first, then remotes.

    Without a draft the target is its own. `servers` makes one of each model.
    """

    def __init__(
        self, target, draft=None, target_faults=Faults(), draft_faults=Faults(), servers=HOST
    ):
        serve_target, serve_draft = servers
        self.channels = {"target": InlineChannel(serve_target(target), target_faults)}
        if draft is not None:
            self.channels["draft"] = InlineChannel(serve_draft(draft), draft_faults)
        remotes = [Remote(role, channel) for role, channel in self.channels.items()]
        self.target, self.draft = remotes[0], remotes[-1]
        self.ready = {role: channel.server.ready() for role, channel in self.channels.items()}

    def wait(self, seconds):
        owed = False
        for remote in dict.fromkeys((self.draft, self.target)):
            channel = self.channels[remote.role]
            if remote.lost:
                continue
            owed = owed or bool(remote.pending)
            last_error = _said(channel)
            if last_error == "failing":
                remote.receive(Failed(None, "it failed in a test"))
            elif isinstance(last_error, Failed):
                remote.receive(last_error)
            elif last_error is not None:
                remote.lose("it died in a test")
            for done in channel.taken():
                remote.receive(done)
        return owed


def _said(channel):
    """Let a worker do something; return its last words where it has any."""
    try:
        return channel.work()
    except RunError as error:
        return Failed(None, str(error))


def decode(setup, target, draft, prompts, **faults):
    """Return the run of a setup over prompts, and the crew that did it."""
    crew = InlineCrew(target, draft, **faults)
    execution = Execution(setup, lambda: crew, HERE, tasks(prompts), detail=Detail())
    with pytest.MonkeyPatch.context() as patch:
        same_paces(patch)
        execution.run()
    return execution.result(), crew


def same_paces(patch):
    """Let all passes count as taking the same time, unmeasured: some methods go by it."""
    for module in SERVING:
        patch.setattr(module, "median_seconds", lambda _: 1e-3)


def tasks(prompts):
    return [Task(f"prompt {at}", "test", list(prompt)) for at, prompt in enumerate(prompts)]


def outputs(run):
    return [tuple(map(int, output)) for output in run.sequences.output]


def _refuse_junk(server):
    """Let nobody use the logits of a token that saw anything but the text before it."""
    samplers = [getattr(server, name, None) for name in ("verifier", "drafter")]
    for sampler in filter(None, samplers):
        for name in ("probabilities", "scores"):
            setattr(sampler, name, _refusing(getattr(sampler, name)))
    if hasattr(server, "drafting"):
        _refuse_junk(server.drafting)


def _refusing(use):
    def checked(logits, *rest):
        assert not np.isnan(logits).any(), "logits of a token that did not see its own text"
        return use(logits, *rest)

    return checked
