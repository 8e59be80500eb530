"""Turns a real run's settings into a simulation's, given a machine and an acceptance source."""

from ssdreal.executor.setup import Setup
from ssdsim.acceptance.base import Acceptance
from ssdsim.engine.setup import Setup as SimulatedSetup
from ssdsim.latency.machine import Machine


def simulated_twin(setup: Setup, acceptance: Acceptance, machine: Machine) -> SimulatedSetup:
    """Return the simulated setup with a real setup's settings.

    Parameters
    ----------
    setup
        Of the real run.
    acceptance, machine
        Where the simulated one has its outcomes and times from.

    """
    return SimulatedSetup(
        method=setup.method,
        acceptance=acceptance,
        machine=machine,
        workload=setup.workload,
        policy=setup.policy,
        backup=setup.backup,
        lookahead=setup.lookahead,
        batch=setup.batch,
        sampling=setup.decoding,
        length=setup.length,
        tree=setup.tree,
        seed=setup.seed,
        drafter=setup.drafter,
        serving=setup.serving,
    )
