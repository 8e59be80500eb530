"""Runs whose requests arrive in time, and the means of what they have to wait."""

from dataclasses import dataclass

import numpy as np

from ssdsim import Setup, Simulation
from ssdsim.acceptance.iid import Iid
from ssdsim.latency.constant import Constant
from ssdsim.latency.machine import Machine
from ssdsim.latency.step_costs import StepCost, StepCosts

ALPHA, K = 0.7, 4
SHARES = [*((1 - ALPHA) * ALPHA**k for k in range(K)), ALPHA**K]
"""P(k of K drafted tokens are accepted)."""


def stepping(prefill=StepCost(), **verify):
    """Return a machine on which a round costs what a verify does, and no draft takes time."""
    passes = {"verify": StepCost(**verify), "prefill": prefill}
    return Machine(target=StepCosts(passes), draft=Constant(verify=0, step=0))


@dataclass
class Served:
    """When each request came, was admitted, and was finished; an array each, in seconds."""

    arrival: np.ndarray
    admitted: np.ndarray
    finish: np.ndarray
    replica: np.ndarray

    @property
    def wait(self):
        return self.admitted - self.arrival

    @property
    def stay(self):
        return self.finish - self.arrival


def served(method, machine, workload, **more):
    """Run it to the end."""
    setup = Setup(method, Iid(alpha=ALPHA), machine, workload, lookahead=K, **more)
    simulation = Simulation(setup, spooled=True)
    simulation.run()
    rows = simulation.recorder.sequences
    columns = ("arrival", "admitted", "finish", "replica")
    return Served(*(np.array([getattr(row, name) for row in rows]) for name in columns))


def mean_and_error(values, blocks=25):
    """Return the mean and its standard error by batch means, without the first twentieth."""
    values = values[len(values) // 20 :]
    each = values[: len(values) // blocks * blocks].reshape(blocks, -1).mean(axis=1)
    return each.mean(), each.std(ddof=1) / blocks**0.5


def agrees(values, expected):
    """Tell whether the mean is within 1 % or two standard errors of what is expected."""
    mean, error = mean_and_error(values)
    return abs(mean - expected) <= max(0.01 * expected, 2 * error), (mean, expected, error)
