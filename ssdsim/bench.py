"""Measures simulated rounds a second beside bare SimPy timeouts, and the exact expectation.

`python -m ssdsim.bench` alternates them in one process and prints medians and ratios.
"""

import statistics
import time
from collections.abc import Callable, Generator
from dataclasses import replace

import simpy

from ssdsim.acceptance.iid import Iid
from ssdsim.engine.exact_expectation import expect
from ssdsim.engine.setup import Setup
from ssdsim.engine.simulation import Simulation
from ssdsim.engine.workload import Workload
from ssdsim.latency.constant import Constant
from ssdsim.latency.machine import Machine
from ssdsim.methods.ssd import Ssd
from ssdsim.policies.uniform_fanout import UniformFanout

REPEATS = 7
TIMEOUTS = 200_000
SETUP = Setup(
    method=Ssd(),
    policy=UniformFanout(fanout=3),
    lookahead=7,
    acceptance=Iid(),
    machine=Machine(target=Constant(verify=1.0, step=0.0), draft=Constant(verify=0.0, step=0.1)),
    workload=Workload(prompts=8, output_tokens=10_000),
)


def rounds_per_s() -> float:
    """Return simulated SSD rounds a second (K=7, F=3, batch 1), rounds and spans recorded."""
    simulation = Simulation(SETUP)
    seconds = _seconds(simulation.run)
    return len(simulation.recorder.rounds) / seconds


def timeouts_per_s() -> float:
    """Return the timeouts a second of a process that does nothing else."""
    env = simpy.Environment()

    def idle() -> Generator[simpy.Event, None, None]:
        for _ in range(TIMEOUTS):
            yield env.timeout(1.0)

    process = env.process(idle())
    return TIMEOUTS / _seconds(lambda: env.run(process))


def expectation_seconds(batch: int) -> float:
    """Return the seconds of one exact expectation, at batch `batch`."""
    setup = replace(SETUP, batch=batch)
    return _seconds(lambda: expect(setup))


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    """Print the rates and their ratio."""
    pairs = [(rounds_per_s(), timeouts_per_s()) for _ in range(REPEATS)]
    rounds, timeouts = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(t / r for r, t in pairs)
    print(f"simulated SSD rounds (K=7, F=3)  {rounds:>12,.0f} /s")
    print(f"bare SimPy timeouts              {timeouts:>12,.0f} /s")
    print(f"timeouts in the time of a round  {ratio:>12.1f}")
    for batch in (1, 16):
        exact = statistics.median(expectation_seconds(batch) for _ in range(REPEATS))
        print(f"exact expectation, batch {batch:<2}      {1000 * exact:>12.1f} ms")


if __name__ == "__main__":
    main()
