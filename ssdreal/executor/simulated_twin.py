"""The same run for ssdsim: what a real one is set to, with outcomes and times from elsewhere."""

from ssdreal.executor.setup import Setup
from ssdsim.acceptance.base import Acceptance
from ssdsim.engine.setup import Setup as SimulatedSetup
from ssdsim.engine.workload import Workload
from ssdsim.latency.machine import Machine


def simulated_twin(setup: Setup, acceptance: Acceptance, machine: Machine) -> SimulatedSetup:
    """Return a real setup's twin.

    Parameters
    ----------
    setup
        Of the real run.
    acceptance, machine
        Where the simulated one has its outcomes and times from.

    """
    workload = setup.workload
    return SimulatedSetup(
        method=setup.method,
        acceptance=acceptance,
        machine=machine,
        workload=Workload(workload.prompts, workload.prompt_tokens, workload.output_tokens),
        policy=setup.policy,
        backup=setup.backup,
        lookahead=setup.lookahead,
        batch=setup.batch,
        sampling=setup.decoding,
        length=setup.length,
        tree=setup.tree,
        seed=setup.seed,
    )
