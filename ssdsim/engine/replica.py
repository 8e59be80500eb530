"""Builds the workers and the session of one replica in a simulated run."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial

from numpy.random import Generator
from simpy import Environment

from ssdsim.acceptance.base import Source
from ssdsim.decoding.detail import Detail
from ssdsim.decoding.request_queue import RequestQueue
from ssdsim.decoding.session import Session
from ssdsim.engine.draft import SimulatedDraft, exchange_seconds
from ssdsim.engine.draft_pool import DraftPool, PooledLane
from ssdsim.engine.lanes import Contention, Lane
from ssdsim.engine.lookup import HOST, simulated_lookup
from ssdsim.engine.padding import padded
from ssdsim.engine.setup import Setup
from ssdsim.engine.target import SimulatedTarget
from ssdsim.latency.jitter import Jitter, factors
from ssdsim.latency.machine import lanes_of
from ssdsim.lengths.base import Control
from ssdsim.lengths.fixed import Fixed
from ssdsim.run.tables import Sequence as SequenceRecord
from ssdsim.run.trace import Recorder
from ssdsim.sampling.streams import stream


@dataclass(eq=False)
class Replica:
    """Targets and drafts of a run's own, and the session that decodes with them.

    Attributes
    ----------
    setup, source, env
        What is run, where outcomes come from, and the clock.
    recorder
        Where its workers write: it counts this replica's verifies.
    number
        Which replica this is.
    pool
        Draft devices that it shares with others; None: its drafts have their own.
    lanes
        All of its workers' lanes.

    """

    setup: Setup
    source: Source
    env: Environment
    recorder: Recorder
    number: int = 0
    pool: DraftPool | None = None
    lanes: list[Lane] = field(default_factory=list, init=False)
    length: Control = field(init=False)

    def __post_init__(self) -> None:
        self.length = self.setup.control.start(self.setup.lookahead)
        slowdown = asdict(self.setup.machine.slowdown)
        shared = max(slowdown.values()) > 1
        self._make = Contention(self.env, slowdown).lane if shared else partial(Lane, self.env)

    def session(
        self, run: Recorder, retired: Callable[[SequenceRecord], None], detail: Detail | None
    ) -> Session:
        """Return the session, which notes its rounds in `run`."""
        setup = self.setup
        servers = self._servers()
        draft, *assistants = self._drafts(keeps=detail is not None)
        return Session(
            env=self.env,
            target=servers[0],
            draft=draft,
            policy=setup.policy.start(setup.lookahead, self._stream("policy")),
            backup=setup.backup.start(self._stream("backup")),
            draft_on=setup.draft_on,
            lookahead=setup.lookahead,
            admission=setup.serving.start(setup.load),
            queue=RequestQueue(self.env),
            recorder=run,
            retired=retired,
            assistants=assistants,
            seed=setup.seed,
            sampling=setup.sampling,
            length=None if isinstance(setup.control, Fixed) else self.length,
            cutter=setup.cut.start(),
            round_seconds=setup.method.round_seconds,
            servers=[*servers],
            detail=detail,
        )

    def _servers(self) -> list[SimulatedTarget]:
        setup, machine = self.setup, self.setup.machine
        shape = padded(setup, self.source)
        jitter = self._factors(machine.target_jitter, "target jitter")
        return [
            SimulatedTarget(
                self._lane(name, name),
                machine.target,
                self.recorder,
                jitter,
                machine.dispatch,
                machine.sampling.under(setup.sampling),
                self.source,
                shape,
                tree=setup.tree,
                length=self.length,
                message=machine.link.latency if setup.draft_on == "own" else 0.0,
                speaking=machine.speaking if setup.method.exit < 1 else None,
            )
            for name in lanes_of("target", setup.method.servers, self.number)
        ]

    def _drafts(self, *, keeps: bool) -> list[SimulatedDraft]:
        setup, machine = self.setup, self.setup.machine
        names = lanes_of("draft", setup.method.drafts, self.number)
        if setup.lookup:
            self.lanes.append(Lane(self.env, names[0], HOST))
            known = self.recorder, setup.lookup, self.length, self.source.vocabulary
            return [simulated_lookup(self.lanes[-1], *known)]
        own = setup.method.draft_on != "target" and not machine.shared
        target, shape = self.lanes[0].device, padded(setup, self.source)
        return [
            SimulatedDraft(
                self._draft_lane(name, name if own else target),
                setup.draft_latency,
                self.recorder,
                self._factors(machine.draft_jitter, f"{name} jitter"),
                machine.dispatch,
                machine.sampling.under(setup.sampling),
                self.length,
                setup.tree,
                setup.block,
                self.source.vocabulary,
                exchange_seconds(machine, setup.sent, setup.method.draft_on),
                keeps=keeps,
                slots=shape[0] if shape else 0,
            )
            for name in names
        ]

    def _lane(self, name: str, device: str) -> Lane:
        self.lanes.append(self._make(name, device))
        return self.lanes[-1]

    def _draft_lane(self, name: str, device: str) -> Lane:
        if self.pool is None:
            return self._lane(name, device)
        self.lanes.append(PooledLane(self.env, name, self.pool))
        return self.lanes[-1]

    def _stream(self, cause: str) -> Generator:
        return stream(self.setup.seed, f"{cause} {self.number}" if self.number else cause)

    def _factors(self, jitter: Jitter, cause: str) -> Callable[[], float]:
        return factors(jitter, self._stream(cause))
