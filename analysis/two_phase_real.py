"""Early exit on real models: plain SSD beside two phases at two layers, measured and predicted.

`python -m ssdreal.profile --name early_exit --exits 0.5 0.8 --out DIR` measures the machine and
records the early views that predictions replay. `python analysis/two_phase_real.py measure DIR`
decodes prompts that no profile is fitted to with every method, each repeat in another order, and
`table DIR` prints medians beside what the profile says of such runs, and where 90 % should lie.
"""

import sys
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.random import default_rng

from ssdreal.channel.message_parts import Exit
from ssdreal.command.journal import RUN, journal
from ssdreal.executor.execution import Execution
from ssdreal.executor.pair import read_pair
from ssdreal.executor.prompt_files import tokenized
from ssdreal.executor.setup import Setup
from ssdreal.executor.simulated_twin import simulated_twin
from ssdreal.executor.sitting import Sitting
from ssdreal.executor.workload import Task, Workload
from ssdreal.models.catalog import describe
from ssdreal.places.topology import topology
from ssdreal.profile.split import read_split
from ssdsim.acceptance.recorded import Recorded
from ssdsim.calibration.prediction import KnownPrompt, Predicted, Profile
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.methods.two_phase import TwoPhase
from ssdsim.policies.exit_residual import ExitResidual
from ssdsim.policies.exit_target import ExitTarget
from ssdsim.policies.topk_outcomes import TopkOutcomes
from ssdsim.run.trace import Run, load_run

PAIR = read_pair("smollm2")
LAYERS = describe(PAIR.target).layers
EXITS = (0.5, 0.8)
K, TOKENS, REPEATS = 2, 48, 4
METRICS = {"hit_rate": 3, "acceptance_length": 3, "tokens_per_s": 1}


@dataclass(frozen=True)
class Heard(Profile):
    """A profile whose target's early views are those after one of the recorded layers."""

    layer: int | None = None

    @property
    def acceptance(self) -> Recorded:
        """Its acceptance trace."""
        return Recorded(str(self.folder), exit_layer=self.layer)


def layer(share: float) -> int:
    """Return the layer that is nearest to a share of them."""
    return Exit(share, 0).layer(LAYERS)


def two_phases(share: float, second: type[ExitTarget]) -> TwoPhase:
    """Return two phases, both as deep as K."""
    return TwoPhase(layer(share) / LAYERS, second(8), first_depth=K, second_depth=K)


def setups(prompts: int) -> dict[str, Setup]:
    """Return what is compared; the first of two phases has half of plain SSD's branches."""
    methods = {"sd": (Speculative(), 12), "ssd 12": (Ssd(), 12), "ssd 6": (Ssd(), 6)}
    for share in EXITS:
        for second in (ExitTarget, ExitResidual):
            name = f"{second.__name__} after layer {layer(share)}"
            methods[name] = two_phases(share, second), 6
    workload = Workload(prompts, output_tokens=TOKENS)
    return {
        name: Setup(method, workload, TopkOutcomes(budget), lookahead=K)
        for name, (method, budget) in methods.items()
    }


def tasks() -> list[Task]:
    """Return the prompts that predictions are tested on."""
    return tokenized(read_split().parts["test"].read(), PAIR.target)


def measure(folder: Path) -> None:
    """Decode with every method, each repeat in another order; what is kept is not made again."""
    rng, where, texts = default_rng(0), topology("auto", None), tasks()
    asked = setups(len(texts))
    kept = journal(folder / "measured.json", {"methods": [*asked]}, resume=True)
    with closing(Sitting(PAIR, "bfloat16")) as sitting:
        for repeat in range(REPEATS):
            for at in rng.permutation(len(asked)):
                name, setup = [*asked.items()][at]
                places = where.places(setup.draft_on)
                running = sitting.execution(replace(setup, seed=repeat), places, texts)
                kept.once(f"{name} {repeat}", RUN, lambda one=running: _decoded(one))


def _decoded(running: Execution) -> Run:
    running.run()
    return running.result()


def table(folder: Path) -> None:
    """Print what was measured beside what the profile says."""
    texts = tasks()
    for name, setup in setups(len(texts)).items():
        runs = [load_run(folder / f"{name} {repeat}") for repeat in range(REPEATS)]
        known = [KnownPrompt(text.kind, len(text.tokens)) for text in texts]
        heard = round(setup.method.exit * LAYERS) if setup.method.exit < 1 else None
        profile = Heard(folder / "early_exit", layer=heard)
        twin = simulated_twin(setup, profile.acceptance, profile.machine)
        row = cells(name, runs, profile.predict(twin, name, prompts=known))
        sys.stdout.write(" | ".join(row) + "\n")


def cells(name: str, runs: list[Run], said: Predicted) -> list[str]:
    """Return a row: the share at which the target spoke, then metrics, measured and predicted."""
    shares = [run.info["exit"]["share"] for run in runs if "exit" in run.info]
    row = [name, f"{np.median(shares):.2f}" if shares else "-"]
    for metric, digits in METRICS.items():
        values = [run.metrics[metric] for run in runs if run.metrics[metric] is not None]
        of = said.interval(metric)
        guess = f"{of.middle:.{digits}f} ({of.low:.{digits}f} to {of.high:.{digits}f})"
        row += [f"{np.median(values):.{digits}f}", guess] if values else ["-", "-"]
    return row


if __name__ == "__main__":
    {"measure": measure, "table": table}[sys.argv[1]](Path(sys.argv[2]))
