"""One simulated run: from plain settings to a `Run`."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from itertools import repeat
from typing import Any

import simpy

from ssdsim.acceptance.base import Describing, Source
from ssdsim.acceptance.looked_up import LookedUpSource
from ssdsim.decoding.detail import Detail
from ssdsim.decoding.protocol import Row
from ssdsim.decoding.session import Session
from ssdsim.engine.draft import SimulatedDraft, exchange_seconds
from ssdsim.engine.lanes import Contention, Lane
from ssdsim.engine.lookup import HOST, simulated_lookup
from ssdsim.engine.padding import padded, prompt_length
from ssdsim.engine.preflight import check_coverage, check_drafter, check_source, check_tree
from ssdsim.engine.setup import Setup
from ssdsim.engine.workers import SimulatedTarget
from ssdsim.latency.jitter import Jitter, NoJitter
from ssdsim.latency.machine import lanes_of
from ssdsim.lengths.base import Control
from ssdsim.lengths.fixed import Fixed
from ssdsim.run.results import outcome, run_id
from ssdsim.run.spool import Spool
from ssdsim.run.tables import Sequence as SequenceRecord
from ssdsim.run.tables import Span
from ssdsim.run.trace import Recorder, Run
from ssdsim.sampling.streams import blocks, stream
from ssdsim.workloads.base import Request

Lanes = Callable[[str, str], Lane]
"""Makes a lane of this name on this device."""


class Simulation:
    """A run that can be asked for its results at any time, also when it was interrupted.

    Where it is `spooled`, rounds and spans that are final go to disk on the way, so that memory
    does not grow with them. Where it is `detailed`, the first rounds' speculations and predicted
    outcomes are part of the result (`ssdsim.decoding.detail`). Raises `ConfigError` when it is
    made, for settings that do not fit each other.
    """

    def __init__(
        self,
        setup: Setup,
        retired: Callable[[SequenceRecord], None] = lambda _: None,
        spooled: bool = False,
        detailed: bool = False,
    ) -> None:
        self.setup = setup
        self.detail = Detail() if detailed else None
        self.complete = False
        self.env = simpy.Environment()
        self.recorder = self._recorder(spooled)
        source = setup.acceptance.open(setup.sampling, stream(setup.seed, "acceptance"))
        check_drafter(setup)
        check_source(setup, source)
        check_tree(setup, source)
        if isinstance(source, Describing) and not setup.reads_drafts:
            source = source.outlined(self._noting)
        if setup.lookup:
            source = LookedUpSource(source, setup.lookup)
        predictor = setup.policy.start(setup.lookahead, stream(setup.seed, "policy"))
        check_coverage(setup, source)
        length = setup.control.start(setup.lookahead)
        self.lanes: list[Lane] = []
        lane = self._lanes()
        servers = self._servers(source, lane, length)
        draft, *assistants = self._drafts(source, lane, length)
        self.session = Session(
            env=self.env,
            target=servers[0],
            draft=draft,
            policy=predictor,
            backup=setup.backup.start(stream(setup.seed, "backup")),
            draft_on=setup.draft_on,
            lookahead=setup.lookahead,
            slots=setup.batch,
            waiting=[
                self._row(source, seq, request)
                for seq, request in enumerate(setup.workload.requests(setup.seed))
            ],
            recorder=self.recorder,
            retired=retired,
            assistants=assistants,
            seed=setup.seed,
            length=None if isinstance(setup.control, Fixed) else length,
            cutter=setup.cut.start(),
            round_seconds=setup.method.round_seconds,
            servers=[*servers],
            detail=self.detail,
        )

    def run(self) -> None:
        """Decode everything."""
        self.env.run(self.env.process(self.setup.method.decode(self.session)))
        self.complete = True

    def result(self) -> Run:
        """Return what there is so far."""
        run = Run(self.outcome().info, self.recorder.tables(self.env.now))
        if self.detail is not None:
            self.detail.enter(run)
        return run

    def outcome(self) -> Run:
        """Return what there is so far, without its tables."""
        now, devices = self.env.now, self._devices()
        return outcome(self.setup, self.recorder, now, devices, "sim", self.complete)

    def _recorder(self, spooled: bool) -> Recorder:
        known = run_id(self.setup)
        if not spooled:
            return Recorder(run_id=known)
        return Spool(run_id=known, devices=self._devices(), unsettled=self._unsettled)

    def _noting(self) -> bool:
        return self.detail is not None and not self.detail.full

    def _devices(self) -> list[dict[str, Any]]:
        method, draft_on = self.setup.method, self.setup.draft_on
        return self.setup.machine.devices(draft_on, method.servers, method.drafts)

    def _unsettled(self) -> tuple[Iterator[Span], float]:
        """Return the spans that may still change, and since when a round has been in flight."""
        rows, now = self.session.rows, self.env.now
        return self._changing(rows), min((row.ready for row in rows), default=now)

    def _changing(self, rows: Sequence[Row]) -> Iterator[Span]:
        yield from (lane.span for lane in self.lanes if lane.span)
        for row in rows:
            yield from row.ahead
            if row.work:
                yield row.work

    def _row(self, source: Source, seq: int, request: Request) -> Row:
        prompt, kind = source.prompt(seq)
        length = prompt_length(self.setup, source, seq, request)
        record = SequenceRecord(
            seq=seq,
            prompt=prompt,
            kind=kind,
            prompt_tokens=length,
            output=None,
            tokens=0,
            arrival=request.arrival,
        )
        self.recorder.sequences.append(record)
        return Row(record, request.output_tokens, context=length, ready=0.0, step=request.step)

    def _servers(self, source: Source, lane: Lanes, length: Control) -> list[SimulatedTarget]:
        setup, machine = self.setup, self.setup.machine
        shape = padded(setup, source)
        jitter = _factors(machine.target_jitter, setup.seed, "target jitter")
        return [
            SimulatedTarget(
                lane(name, name),
                machine.target,
                self.recorder,
                jitter,
                machine.dispatch,
                machine.sampling.under(setup.sampling),
                source,
                shape,
                tree=setup.tree,
                length=length,
                message=machine.link.latency if setup.draft_on == "own" else 0.0,
            )
            for name in lanes_of("target", setup.method.servers)
        ]

    def _drafts(self, source: Source, lane: Lanes, length: Control) -> list[SimulatedDraft]:
        setup, machine = self.setup, self.setup.machine
        if setup.lookup:
            self.lanes.append(Lane(self.env, "draft", HOST))
            known = self.recorder, setup.lookup, length, source.vocabulary
            return [simulated_lookup(self.lanes[-1], *known)]
        own = setup.method.draft_on != "target" and not machine.shared
        return [
            SimulatedDraft(
                lane(name, name if own else "target"),
                setup.draft_latency,
                self.recorder,
                _factors(machine.draft_jitter, setup.seed, f"{name} jitter"),
                machine.dispatch,
                machine.sampling.under(setup.sampling),
                length,
                setup.tree,
                setup.block,
                source.vocabulary,
                exchange_seconds(machine, setup.sent, setup.method.draft_on),
            )
            for name in lanes_of("draft", setup.method.drafts)
        ]

    def _lanes(self) -> Lanes:
        slowdown = asdict(self.setup.machine.slowdown)
        shared = max(slowdown.values()) > 1
        make: Lanes = Contention(self.env, slowdown).lane if shared else partial(Lane, self.env)

        def lane(name: str, device: str) -> Lane:
            self.lanes.append(make(name, device))
            return self.lanes[-1]

        return lane


def simulate(setup: Setup, spooled: bool = False, detailed: bool = False) -> Run:
    """Run `setup` to its end.

    Parameters
    ----------
    setup
        What is run.
    spooled, detailed
        See `Simulation`.

    Raises
    ------
    ConfigError
        The settings do not fit each other.

    """
    simulation = Simulation(setup, spooled=spooled, detailed=detailed)
    simulation.run()
    return simulation.result()


def evaluate(setup: Setup) -> Run:
    """Run `setup` to its end for what `run.json` says of it: the run has no tables.

    For who simulates thousands of settings in one process and looks at metrics alone. As
    `simulate(setup, spooled=True)` in all else, and for the price of the simulation itself.

    Raises
    ------
    ConfigError
        The settings do not fit each other.

    """
    simulation = Simulation(setup, spooled=True)
    simulation.run()
    return simulation.outcome()


def _factors(jitter: Jitter, seed: int, cause: str) -> Callable[[], float]:
    if isinstance(jitter, NoJitter):
        return repeat(1.0).__next__
    rng = stream(seed, cause)
    return blocks(lambda size: jitter.factors(rng, size)).__next__
