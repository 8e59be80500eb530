"""One simulated run: from plain settings to a `Run`."""

from collections.abc import Callable, Iterator
from itertools import chain
from math import inf
from typing import Any

import simpy

from ssdsim.acceptance.base import Describing, Source
from ssdsim.acceptance.looked_up import LookedUpSource
from ssdsim.decoding.detail import Detail
from ssdsim.decoding.protocol import Row
from ssdsim.engine.dispatcher import Dispatcher
from ssdsim.engine.draft_pool import DraftPool
from ssdsim.engine.padding import prompt_length
from ssdsim.engine.prefill_stage import prefill_stage
from ssdsim.engine.preflight import (
    check_coverage,
    check_drafter,
    check_pool,
    check_serving,
    check_source,
    check_tree,
)
from ssdsim.engine.replica import Replica
from ssdsim.engine.served import Served
from ssdsim.engine.setup import Setup
from ssdsim.latency.machine import lanes_of
from ssdsim.run.results import outcome, run_id
from ssdsim.run.spool import Counted, Spool
from ssdsim.run.tables import Sequence as SequenceRecord
from ssdsim.run.tables import Span
from ssdsim.run.trace import Recorder, Run
from ssdsim.sampling.streams import stream
from ssdsim.workloads.base import Request

Retired = Callable[[SequenceRecord], None]


class Simulation:
    """A run that can be asked for its results at any time, also when it was interrupted.

    Where it is `spooled`, rounds and spans that are final go to disk on the way, so that memory
    does not grow with them; where it is `counted`, nowhere: only what metrics need of them is kept,
    and there are no tables. Where it is `detailed`, the first rounds' speculations and predicted
    outcomes are part of the result (`ssdsim.decoding.detail`). Raises `ConfigError` when it is
    made, for settings that do not fit each other.
    """

    def __init__(
        self,
        setup: Setup,
        retired: Retired = lambda _: None,
        spooled: bool = False,
        detailed: bool = False,
        counted: bool = False,
    ) -> None:
        self.setup = setup
        self.detail = Detail() if detailed else None
        self.complete = False
        self.env = simpy.Environment()
        self.recorder = self._recorder(spooled, counted)
        source = self._source()
        requests = setup.workload.requests(setup.seed)
        rows = [self._row(source, seq, request) for seq, request in enumerate(requests)]
        check_serving(setup, [row.context for row in rows], requests)
        shared = setup.draft_pool
        self.pool = DraftPool(lanes_of("draft", shared)) if shared else None
        self.replicas = self._replicas(source)
        finishing = self._finishing(retired)
        self.sessions = [
            replica.session(self.recorder, finishing, self.detail) for replica in self.replicas
        ]
        self.dispatcher = self._dispatcher(source, rows)
        blocks, limits = setup.serving.blocks(setup.load), setup.serving.limits
        watched = self.recorder, self.sessions, blocks, limits, self.dispatcher.stage, self.pool
        self.served = Served(*watched) if setup.serves else None

    def run(self) -> None:
        """Decode everything."""
        self.dispatcher.start()
        decode = self.setup.method.decode
        self.env.run(
            simpy.AllOf(self.env, [self.env.process(decode(one)) for one in self.sessions])
        )
        self.complete = True

    def result(self) -> Run:
        """Return what there is so far."""
        run = Run(self.outcome().info, self.recorder.tables(self.env.now))
        if self.detail is not None:
            self.detail.enter(run)
        if self.served is not None:
            run.tables["state"] = self.served.table()
        return run

    def outcome(self) -> Run:
        """Return what there is so far, without its tables."""
        now, devices = self.env.now, self._devices()
        run = outcome(self.setup, self.recorder, now, devices, "sim", self.complete)
        if self.served is not None:
            self.served.enter(run, now)
        return run

    def _recorder(self, spooled: bool, counted: bool) -> Recorder:
        known = run_id(self.setup)
        if not spooled and not counted:
            return Recorder(run_id=known)
        spool = Counted if counted else Spool
        return spool(run_id=known, devices=self._devices(), unsettled=self._unsettled)

    def _source(self) -> Source:
        """Return where outcomes come from, once it is known to fit the settings."""
        setup = self.setup
        source = setup.acceptance.open(setup.sampling, stream(setup.seed, "acceptance"))
        check_drafter(setup)
        check_source(setup, source)
        check_tree(setup, source)
        check_pool(setup)
        if isinstance(source, Describing) and not setup.reads_drafts:
            source = source.outlined(self._noting)
        if setup.lookup:
            source = LookedUpSource(source, setup.lookup)
        check_coverage(setup, source)
        return source

    def _replicas(self, source: Source) -> list[Replica]:
        return [
            Replica(self.setup, source, self.env, self._recorder_of(number), number, self.pool)
            for number in range(self.setup.replicas)
        ]

    def _dispatcher(self, source: Source, rows: list[Row]) -> Dispatcher:
        setup = self.setup
        routing = setup.router.start(setup.replicas, stream(setup.seed, "router"))
        most, think = setup.workload.most_at_once or inf, setup.workload.thinking
        found = Dispatcher(self.env, self.sessions, routing, rows, most, think)
        recorder = self.recorder.beside()
        found.stage = prefill_stage(setup, source, self.env, recorder, found.expect)
        return found

    def _noting(self) -> bool:
        return self.detail is not None and not self.detail.full

    def _recorder_of(self, replica: int) -> Recorder:
        return self.recorder.beside() if replica else self.recorder

    def _finishing(self, retired: Retired) -> Retired:
        def finishing(record: SequenceRecord) -> None:
            self.dispatcher.finished(record)
            retired(record)

        return finishing

    def _devices(self) -> list[dict[str, Any]]:
        setup, method = self.setup, self.setup.method
        pool = setup.draft_pool
        copies = None if pool else setup.draft_on, method.servers, method.drafts
        replicas = [setup.machine.devices(*copies, number) for number in range(setup.replicas)]
        stage = setup.serving.stage
        computing = setup.machine.target_devices("prefill", stage.instances) if stage else ()
        return [*chain.from_iterable(replicas), *setup.machine.draft_devices(pool), *computing]

    def _unsettled(self) -> tuple[Iterator[Span], float]:
        """Return the spans that may still change, and since when a round has been in flight."""
        rows = [row for session in self.sessions for row in session.admission.live(session)]
        now = self.env.now
        return self._changing(rows), min((row.ready for row in rows), default=now)

    def _changing(self, rows: list[Row]) -> Iterator[Span]:
        for replica in self.replicas:
            yield from (lane.span for lane in replica.lanes if lane.span)
        for row in rows:
            yield from row.ahead
            if row.work:
                yield row.work

    def _row(self, source: Source, seq: int, request: Request) -> Row:
        prompt, kind = source.prompt(seq)
        length = prompt_length(self.setup.workload, source, seq, request)
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
        return Row(
            record,
            request.output_tokens,
            context=length,
            ready=0.0,
            step=request.step,
            prefix=request.prefix,
            prefix_tokens=request.prefix_tokens,
        )


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
    simulation = Simulation(setup, counted=True)
    simulation.run()
    return simulation.outcome()
