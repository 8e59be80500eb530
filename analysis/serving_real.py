"""Requests on real models: AR, SD and SSD under Poisson arrivals, measured and predicted.

    python analysis/serving_real.py prompts DIR
    python -m ssdreal.profile --name machine --prompts DIR/prompts.jsonl --repeats 1 --out DIR
    python analysis/serving_real.py measure DIR REPEAT
    python analysis/serving_real.py table DIR

Each way of decoding serves the same prompts on two cores at two shares of what it can serve by its
simulation, with 2 and with 4 slots, and once with so few KV blocks that sequences have to make
room. The simulation has the same arrivals, the profile's times, and its texts: so what is compared
is scheduling and times, not what is accepted. Every repeat has arrivals of its own; `table` prints
means over all that are there, and how far single runs are from their simulations.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from statistics import mean

import numpy as np
from numpy.random import default_rng

from ssdreal.command.journal import RUN, journal
from ssdreal.executor.execution import Execution
from ssdreal.executor.pair import read_pair
from ssdreal.executor.prompt_files import read_prompts, tokenized
from ssdreal.executor.setup import Setup
from ssdreal.executor.simulated_twin import simulated_twin
from ssdreal.executor.sitting import Sitting
from ssdreal.executor.supported_serving import DEFAULTS
from ssdreal.executor.workload import Task
from ssdreal.places.topology import topology
from ssdsim.calibration.picked_texts import Picked
from ssdsim.calibration.prediction import Profile
from ssdsim.engine.simulation import simulate
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.policies.topk_outcomes import TopkOutcomes
from ssdsim.run.trace import Run, load_run
from ssdsim.serving.base import Serving
from ssdsim.serving.continuous import Continuous
from ssdsim.serving.slots import Slots
from ssdsim.workloads.closed import Closed
from ssdsim.workloads.poisson import Poisson

PAIR = read_pair("smollm2")
KINDS, PROMPTS, TOKENS = ("chat", "facts", "story", "rewrite"), 40, 48
METHODS = {"ar": Autoregressive(), "sd": Speculative(), "ssd": Ssd()}
LOADS, SLOTS = (0.4, 0.8), (2, 4)
BLOCKS = 20
TIGHT = Continuous(max_num_seqs=max(SLOTS), num_gpu_blocks=BLOCKS, **DEFAULTS)
METRICS = (
    *("output_tokens_per_s", "ttft_mean", "ttft_p90", "e2e_mean", "e2e_p90"),
    *("running_mean", "waiting_mean", "preemptions"),
)


@dataclass(frozen=True)
class Study:
    """What is measured, and what is said of it.

    Attributes
    ----------
    folder
        Where prompts, profile and runs are.

    """

    folder: Path

    @cached_property
    def profile(self) -> Profile:
        """The machine and the texts."""
        return Profile(self.folder / "machine")

    @cached_property
    def tasks(self) -> list[Task]:
        """The prompts in the order in which they come: kinds are mixed."""
        found = tokenized(read_prompts(str(self.folder / "prompts.jsonl"), PROMPTS), PAIR.target)
        return [found[at] for at in default_rng(0).permutation(PROMPTS)]

    def setups(self) -> Iterator[tuple[str, Setup]]:
        """Yield what is measured, by name; a repeat's number is the seed of its arrivals."""
        for name, method in METHODS.items():
            for slots, load in ((slots, load) for slots in SLOTS for load in LOADS):
                yield f"{name} {slots} {load:g}", self._setup(method, slots, load, Slots())
            yield f"{name} tight {LOADS[-1]:g}", self._setup(method, SLOTS[-1], LOADS[-1], TIGHT)

    def simulated(self, setup: Setup) -> Run:
        """Return the simulation of a run, with the texts of its prompts."""
        names = tuple(task.name for task in self.tasks)
        lengths = tuple(len(task.tokens) for task in self.tasks)
        texts = Picked(self.profile.acceptance, names, lengths)
        return simulate(simulated_twin(setup, texts, self.profile.machine))

    def _setup(
        self, method: Autoregressive | Speculative | Ssd, slots: int, load: float, serving: Serving
    ) -> Setup:
        whole = Setup(
            method,
            Closed(PROMPTS, output_tokens=TOKENS),
            TopkOutcomes(12),
            lookahead=1,
            batch=slots,
            serving=serving,
        )
        run = self.simulated(whole)
        rate = load * PROMPTS / run.sequences.finish.max()
        return replace(whole, workload=Poisson(PROMPTS, rate, output_tokens=TOKENS))


def prompts(folder: Path) -> None:
    """Write the prompts that profile and runs share: as many of each kind."""
    each = PROMPTS // len(KINDS)
    there = read_prompts(None)
    chosen = [prompt for kind in KINDS for prompt in [p for p in there if p.kind == kind][:each]]
    lines = (json.dumps({"name": p.name, "kind": p.kind, "text": p.text}) for p in chosen)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "prompts.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def measure(folder: Path, repeat: int) -> None:
    """Serve with every method in random order; what is kept is not made again."""
    study, where = Study(folder), topology("cpu", None)
    asked = [*study.setups()]
    kept = journal(folder / "measured.json", {"runs": [name for name, _ in asked]}, resume=True)
    with closing(Sitting(PAIR, "bfloat16")) as sitting:
        for at in default_rng(repeat).permutation(len(asked)):
            name, setup = asked[at]
            places, seeded = where.places(setup.draft_on), replace(setup, seed=repeat)
            running = sitting.execution(seeded, places, study.tasks)
            kept.once(f"{name} {repeat}", RUN, lambda one=running: _served(one))


def _served(running: Execution) -> Run:
    running.run()
    return running.result()


def _as_measured(setup: Setup, run: Run) -> Setup:
    """Return a setup with a run's own arrivals, whatever the profile says of its capacity now."""
    rate = run.info["config"]["workload"]["rate"]
    return replace(setup, workload=replace(setup.workload, rate=rate), seed=run.info["seed"])


def table(folder: Path) -> None:
    """Print means of what was measured and of what was predicted, and single runs' errors."""
    study, errors = Study(folder), dict[str, list[float]]()
    sys.stdout.write(" | ".join(["run", "requests/s", *METRICS]) + "\n")
    for name, setup in study.setups():
        runs = [load_run(path) for path in sorted(folder.glob(f"{name} *"))]
        twins = [study.simulated(_as_measured(setup, run)) for run in runs]
        row = [name, f"{setup.workload.rate:.2f}"]
        for metric in METRICS if runs else ():
            found, said = ([run.metrics[metric] for run in of] for of in (runs, twins))
            row.append(f"{mean(found):.3g} / {mean(said):.3g}")
            of = errors.setdefault(metric, [])
            of += [b / a - 1 for a, b in zip(found, said, strict=True) if a]
        sys.stdout.write(" | ".join(row) + "\n")
    for metric, of in errors.items():
        middle, far = np.quantile(np.abs(of), [0.5, 0.9])
        line = f"{metric}: {np.mean(of):+.1%} in the mean, {middle:.1%} median, {far:.1%} at 90 %"
        sys.stdout.write(f"{line}, of {len(of)} runs\n")


if __name__ == "__main__":
    {"prompts": prompts, "measure": measure, "table": table}[sys.argv[1]](
        Path(sys.argv[2]), *map(int, sys.argv[3:])
    )
