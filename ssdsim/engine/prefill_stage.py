"""Disaggregated prefill in a simulation: instances that compute prompts, and the hand-off."""

from collections import deque
from collections.abc import Callable, Sequence

from simpy import Environment

from ssdsim.acceptance.base import Source
from ssdsim.decoding.first_token import deliver_first
from ssdsim.decoding.protocol import Row
from ssdsim.decoding.session import Session, Wait
from ssdsim.engine.lanes import Lane
from ssdsim.engine.setup import Setup
from ssdsim.engine.target import SimulatedTarget
from ssdsim.latency.jitter import factors
from ssdsim.latency.machine import lanes_of
from ssdsim.run.trace import Recorder
from ssdsim.sampling.streams import stream
from ssdsim.serving.continuous import Continuous
from ssdsim.serving.prefill_instances import Disaggregated


class PrefillStage:
    """Computes prompts in the order in which they come, each pass on the first idle instance.

    Attributes
    ----------
    way
        How long a hand-off takes.
    budget
        The most tokens of a pass of several prompts.
    samples
        Whether the hand-off comes with a first token.
    waiting
        Requests whose prompts nobody computes yet, each with its session.
    idle
        Instances without work, in order.
    under_way
        Requests that have come here and are not handed over.
    watch
        Told whenever one comes, is taken up or is handed over.

    """

    def __init__(
        self,
        env: Environment,
        instances: Sequence[SimulatedTarget],
        way: Disaggregated,
        budget: int,
        samples: bool,
        handed_over: Callable[[], None],
    ) -> None:
        self.env, self.way, self.budget, self.samples = env, way, budget, samples
        self.handed_over = handed_over
        self.waiting: deque[tuple[Row, Session]] = deque()
        self.idle = list(instances)
        self.under_way = 0
        self.watch: Callable[[PrefillStage], None] = lambda _: None

    def receive(self, row: Row, session: Session) -> None:
        """Let a request's prompt be computed, and hand it over to its session."""
        self.waiting.append((row, session))
        self.under_way += 1
        self.watch(self)
        if self.idle:
            self.env.process(self._work(self.idle.pop(0)))

    def _work(self, instance: SimulatedTarget) -> Wait:
        while self.waiting:
            some = self._next()
            self.watch(self)
            for row, session in some:
                session.prompts.take_up([row])
            yield instance.prefill([row for row, _ in some])
            for row, session in some:
                self.env.process(self._hand_over(row, session))
        self.idle.append(instance)

    def _next(self) -> list[tuple[Row, Session]]:
        """Return the first requests whose prompts fit into a pass."""
        some = [self.waiting.popleft()]
        tokens = some[0][0].context
        while self.waiting and tokens + self.waiting[0][0].context <= self.budget:
            some.append(self.waiting.popleft())
            tokens += some[-1][0].context
        return some

    def _hand_over(self, row: Row, session: Session) -> Wait:
        yield self.env.timeout(self.way.seconds(row.context))
        if self.samples:
            deliver_first(session, row)
        self.under_way -= 1
        self.watch(self)
        if row.left:
            row.read = True
            session.receive(row)
        self.handed_over()


def prefill_stage(
    setup: Setup,
    source: Source,
    env: Environment,
    recorder: Recorder,
    handed_over: Callable[[], None],
) -> PrefillStage | None:
    """Return the stage of a run; None where its replicas compute prompts themselves."""
    serving, machine = setup.serving, setup.machine
    if not isinstance(serving, Continuous) or serving.disaggregated is None:
        return None
    way = serving.disaggregated
    instances = [
        SimulatedTarget(
            Lane(env, name, name),
            machine.target,
            recorder,
            factors(machine.target_jitter, stream(setup.seed, "prefill jitter")),
            machine.dispatch,
            machine.sampling.under(setup.sampling),
            source,
            None,
        )
        for name in lanes_of("prefill", way.instances)
    ]
    budget, samples = serving.max_num_batched_tokens, serving.prompt_samples
    return PrefillStage(env, instances, way, budget, samples, handed_over)
