"""One simulated run: from plain settings to a `Run`."""

from collections.abc import Callable
from dataclasses import asdict

import simpy

from ssdsim.acceptance.base import Source
from ssdsim.decoding.protocol import Row
from ssdsim.decoding.session import Session
from ssdsim.engine.draft import SimulatedDraft, exchange_seconds
from ssdsim.engine.lanes import Contention, Lane
from ssdsim.engine.padding import padded
from ssdsim.engine.preflight import check_coverage, check_source, check_tree
from ssdsim.engine.setup import Setup
from ssdsim.engine.workers import SimulatedTarget
from ssdsim.latency.jitter import Jitter, NoJitter
from ssdsim.latency.machine import lanes_of
from ssdsim.lengths.base import Control
from ssdsim.run.results import result, run_id
from ssdsim.run.trace import Recorder, Run
from ssdsim.run.trace import Sequence as SequenceRecord
from ssdsim.sampling.streams import blocks, stream

Lanes = Callable[[str, str], Lane]
"""Makes a lane of this name on this device."""


class Simulation:
    """A run that can be asked for its results at any time, also when it was interrupted.

    Raises `ConfigError` when it is made, for settings that do not fit each other.
    """

    def __init__(
        self, setup: Setup, retired: Callable[[SequenceRecord], None] = lambda _: None
    ) -> None:
        self.setup = setup
        self.complete = False
        self.env = simpy.Environment()
        self.recorder = Recorder(run_id=run_id(setup))
        source = setup.acceptance.open(setup.sampling, stream(setup.seed, "acceptance"))
        check_source(setup, source)
        check_tree(setup, source)
        predictor = setup.policy.start(setup.lookahead, stream(setup.seed, "policy"))
        check_coverage(setup, source)
        length = setup.control.start(setup.lookahead)
        lane = self._lanes()
        servers = self._servers(source, lane, length)
        draft, *assistants = self._drafts(source, lane, length)
        self.session = Session(
            env=self.env,
            target=servers[0],
            draft=draft,
            policy=predictor,
            backup=setup.backup.start(stream(setup.seed, "backup")),
            draft_on=setup.method.draft_on,
            lookahead=setup.lookahead,
            slots=setup.batch,
            waiting=[
                self._row(source, seq, tokens)
                for seq, tokens in enumerate(setup.workload.lengths(setup.seed))
            ],
            recorder=self.recorder,
            retired=retired,
            assistants=assistants,
            seed=setup.seed,
            length=length,
            round_seconds=setup.method.round_seconds,
            servers=[*servers],
        )

    def run(self) -> None:
        """Decode everything."""
        self.env.run(self.env.process(self.setup.method.decode(self.session)))
        self.complete = True

    def result(self) -> Run:
        """Return what there is so far."""
        method = self.setup.method
        devices = self.setup.machine.devices(method.draft_on, method.servers, method.drafts)
        return result(self.setup, self.recorder, self.env.now, devices, "sim", self.complete)

    def _row(self, source: Source, seq: int, tokens: int) -> Row:
        prompt, kind = source.prompt(seq)
        workload, known = self.setup.workload, source.prompt_tokens(seq)
        length = workload.prompt_tokens if known is None else known
        record = SequenceRecord(
            seq=seq,
            prompt=prompt,
            kind=kind,
            prompt_tokens=length,
            output=None,
            tokens=0,
            arrival=0.0,
        )
        self.recorder.sequences.append(record)
        return Row(record, tokens, context=length, ready=0.0, step=workload.step(seq))

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
            )
            for name in lanes_of("target", setup.method.servers)
        ]

    def _drafts(self, source: Source, lane: Lanes, length: Control) -> list[SimulatedDraft]:
        setup, machine = self.setup, self.setup.machine
        own = setup.method.draft_on != "target" and not machine.shared
        return [
            SimulatedDraft(
                lane(name, name if own else "target"),
                setup.draft_latency,
                self.recorder,
                _factors(machine.draft_jitter, setup.seed, f"{name} jitter"),
                machine.dispatch,
                machine.sampling.under(setup.sampling),
                source.vocabulary,
                exchange_seconds(machine, setup.sent, setup.method.draft_on),
                length,
                setup.tree,
            )
            for name in lanes_of("draft", setup.method.drafts)
        ]

    def _lanes(self) -> Lanes:
        slowdown = asdict(self.setup.machine.slowdown)
        if max(slowdown.values()) > 1:
            return Contention(self.env, slowdown).lane
        return lambda name, device: Lane(self.env, name, device)


def simulate(setup: Setup) -> Run:
    """Run `setup` to its end.

    Raises
    ------
    ConfigError
        The settings do not fit each other.

    """
    simulation = Simulation(setup)
    simulation.run()
    return simulation.result()


def _factors(jitter: Jitter, seed: int, cause: str) -> Callable[[], float]:
    if isinstance(jitter, NoJitter):
        return lambda: 1.0
    rng = stream(seed, cause)
    return blocks(lambda size: jitter.factors(rng, size)).__next__
