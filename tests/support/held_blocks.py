"""Adds up for every request how many KV blocks it holds for how many seconds."""

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
import pytest

from ssdsim.engine.simulation import Simulation


@dataclass
class Ledger:
    """Watches the pool of a replica; of a shared block each of n that hold it has 1/n."""

    env: object
    pool: object
    since: float = 0.0
    seconds: dict = field(default_factory=lambda: defaultdict(float))

    def __post_init__(self):
        for name in ("grow", "take", "computed", "release"):
            setattr(self.pool, name, self._watched(getattr(self.pool, name)))

    def add_up(self):
        lasting, self.since = self.env.now - self.since, self.env.now
        for seq in self.pool.held:
            self.seconds[seq] += lasting * self._held(seq)

    def _watched(self, change):
        def watched(*arguments):
            self.add_up()
            return change(*arguments)

        return watched

    def _held(self, seq):
        shared = getattr(self.pool, "shared", {}).get(seq, ())
        part = sum(1 / self.pool.holders[name] for name in shared)
        return self.pool.held[seq] - len(shared) + part


def simulated(setup):
    """Return a run, and by request the blocks times seconds that it held; none without blocks."""
    simulation = Simulation(setup)
    pools = [getattr(one.admission, "kv", None) for one in simulation.sessions]
    ledgers = [Ledger(simulation.env, pool) for pool in pools if pool is not None]
    simulation.run()
    return simulation.result(), [ledger.seconds for ledger in ledgers]


def little_holds_of_blocks(run, seconds):
    """Mean blocks times the run's seconds are what requests held, each for as long as it did."""
    for replica, own in enumerate(seconds):
        state = run.state[run.state.replica == replica]
        counted = np.dot(state.blocks[:-1], np.diff(state.time))
        assert counted == pytest.approx(sum(own.values()), abs=1e-6), replica
