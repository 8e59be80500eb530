"""Measures simulated rounds a second beside bare SimPy timeouts, expectations and evaluations.

Rounds and timeouts are alternated in one process, so that their ratio holds on a busy machine too.
An evaluation is what a search pays for one of its candidates: a simulation and its metrics.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace

import simpy

from ssdsim.acceptance.iid import Iid
from ssdsim.command.composing import setup as composed
from ssdsim.command.console import ending, speak_as
from ssdsim.engine.exact_expectation import expect
from ssdsim.engine.setup import Setup
from ssdsim.engine.simulation import Simulation, evaluate
from ssdsim.errors import require
from ssdsim.latency.constant import Constant
from ssdsim.latency.machine import Machine
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.policies.geometric_fanout import GeometricFanout
from ssdsim.policies.topk_outcomes import TopkOutcomes
from ssdsim.policies.uniform_fanout import UniformFanout
from ssdsim.run.trace import Run
from ssdsim.serving.continuous import Continuous
from ssdsim.trees.widths import Widths
from ssdsim.workloads.closed import Closed, closed

REPEATS = 7
TOKENS = 40_000
ROUNDS = 2_000
LOOKAHEADS = (1, 2, 3, 5, 7, 9, 12)
SETUP = Setup(
    method=Ssd(),
    policy=UniformFanout(fanout=3),
    lookahead=7,
    acceptance=Iid(),
    machine=Machine(target=Constant(verify=1.0, step=0.0), draft=Constant(verify=0.0, step=0.1)),
    workload=Closed(prompts=8, output_tokens=10_000),
)


def settings() -> Iterator[tuple[str, Setup]]:
    """Yield what is measured, and what it is called."""
    recorded = composed("profile=two_cores")
    yield "K=7, F=3, batch 1", SETUP
    yield "batch 16", replace(SETUP, batch=16)
    yield "tree.widths=[2,2]", replace(SETUP, tree=Widths((2, 2)))
    yield "profile=demo policy=topk_outcomes", composed("profile=demo", "policy=topk_outcomes")
    yield (
        "acceptance=recorded",
        replace(SETUP, acceptance=recorded.acceptance, workload=recorded.workload),
    )


def counted_seconds(setup: Setup) -> float:
    """Return the seconds of a row's round where no rounds are kept, its metrics included."""
    found: list[Run] = []
    seconds = _seconds(lambda: found.append(evaluate(setup)))
    tokens: float = found[0].metrics["tokens"]
    return seconds * float(found[0].metrics["acceptance_length"]) / tokens


def crowds() -> Iterator[tuple[str, Setup]]:
    """Yield methods under continuous batching of 64 requests, and what they are called."""
    serving, workload = Continuous(max_num_seqs=64), Closed(prompts=256, output_tokens=1000)
    plain = replace(SETUP, lookahead=5, serving=serving, workload=workload)
    yield "SD, K=5, 64 requests, counted", replace(plain, method=Speculative())
    yield "SSD, K=5, 64 requests, counted", plain


def sized(setup: Setup, tokens: int) -> Setup:
    """Return a setup with about so many tokens to decode, in texts no longer than its own."""
    each = max(1, min(setup.workload.longest_output, tokens // setup.batch))
    workload = replace(closed(setup.workload), prompts=max(1, tokens // each), output_tokens=each)
    return replace(setup, workload=workload)


def seconds_a_round(setup: Setup) -> float:
    """Return the seconds that a simulated round of one row takes, rounds and spans recorded."""
    simulation = Simulation(setup)
    seconds = _seconds(simulation.run)
    return seconds / len(simulation.recorder.rounds)


def seconds_a_timeout(timeouts: int) -> float:
    """Return the seconds a timeout of a process that does nothing else."""
    env = simpy.Environment()

    def idle() -> Generator[simpy.Event, None, None]:
        for _ in range(timeouts):
            yield env.timeout(1.0)

    process = env.process(idle())
    return _seconds(lambda: env.run(process)) / timeouts


def expectation_seconds(batch: int) -> float:
    """Return the seconds of one exact expectation, at batch `batch`."""
    setup = replace(SETUP, batch=batch)
    return _seconds(lambda: expect(setup))


def candidates() -> Iterator[Setup]:
    """Yield what a search might look at: three policies of SSD, and SD, by lookahead."""
    ssd, sd = composed("profile=demo"), composed("profile=demo", "method=speculative")
    for lookahead in LOOKAHEADS:
        for policy in (UniformFanout(), GeometricFanout(), TopkOutcomes()):
            yield replace(ssd, policy=policy, lookahead=lookahead)
        yield replace(sd, lookahead=lookahead)


def evaluation_seconds(setup: Setup) -> float:
    """Return the seconds of one evaluation of `ROUNDS` rounds of a row."""
    each: float = evaluate(sized(setup, ROUNDS)).metrics["acceptance_length"]
    setup = sized(setup, round(ROUNDS * each))
    found: list[Run] = []
    seconds = _seconds(lambda: found.append(evaluate(setup)))
    rounds: float = found[0].metrics["tokens"] / found[0].metrics["acceptance_length"]
    return seconds * ROUNDS / rounds


def _seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


@dataclass(frozen=True)
class Plan:
    """What the command line asks for.

    Attributes
    ----------
    repeats
        How often rounds and timeouts take turns.
    tokens
        Decoded each time.

    """

    repeats: int
    tokens: int

    def __post_init__(self) -> None:
        require(self.repeats >= 1, "--repeats", self.repeats, "needs a number >= 1")
        require(self.tokens >= 1, "--tokens", self.tokens, "needs a number >= 1")


def plan(arguments: Sequence[str] | None = None) -> Plan:
    """Return what the command line asks for.

    Raises
    ------
    ConfigError
        A count is below 1.

    """
    parser = argparse.ArgumentParser(prog="python -m ssdsim.bench", description=__doc__)
    parser.add_argument("--repeats", type=int, default=REPEATS, help="medians of so many")
    parser.add_argument("--tokens", type=int, default=TOKENS, help="decoded each time")
    return Plan(**vars(parser.parse_args(arguments)))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the rates and their ratio."""
    speak_as("ssdsim.bench")
    with ending():
        asked = plan(arguments)
        print(
            f"{'simulated SSD rounds of a row':36}{'rounds/s':>10}{'timeouts/s':>12}{'a round':>9}"
        )
        for name, setup in settings():
            print(_line(name, sized(setup, asked.tokens), asked), flush=True)
        for name, setup in crowds():
            each = statistics.median(counted_seconds(setup) for _ in range(asked.repeats))
            print(f"{name:36}{1 / each:>10,.0f}", flush=True)
        for batch in (1, 16):
            exact = statistics.median(expectation_seconds(batch) for _ in range(asked.repeats))
            print(f"{f'exact expectation, batch {batch}':36}{1000 * exact:>10.2f} ms")
        each = statistics.mean(map(evaluation_seconds, candidates()))
        print(f"{f'evaluation of {ROUNDS:,} rounds':36}{1000 * each:>10.2f} ms")


def _line(name: str, setup: Setup, asked: Plan) -> str:
    """Measure rounds and timeouts in turns."""
    pairs = [
        (seconds_a_round(setup), seconds_a_timeout(asked.tokens)) for _ in range(asked.repeats)
    ]
    of_round, of_timeout = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(one / other for one, other in pairs)
    return f"{name:36}{1 / of_round:>10,.0f}{1 / of_timeout:>12,.0f}{ratio:>9.1f}"


if __name__ == "__main__":
    main()
