"""Early exit on real models: plain SSD beside two phases at two layers, measured and predicted.

`python analysis/two_phase_real.py draw DIR` deals the prompts of every kind out by chance: half of
them for a profile, half for runs. `python -m ssdreal.profile --name early_exit --exits 0.5 0.8
--prompts DIR/profile.jsonl --out DIR` measures the machine and records the early views that
predictions replay. `measure DIR` decodes the other half with every method, block by block, each
time in another order, and `table DIR` prints what came out of all blocks together beside what the
profile says of such runs, and where 90 % should lie.
"""

import json
import sys
from collections import defaultdict
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.random import default_rng

from ssdreal.channel.message_parts import Exit
from ssdreal.command.journal import RUN, journal
from ssdreal.executor.execution import Execution
from ssdreal.executor.pair import read_pair
from ssdreal.executor.prompt_files import DEFAULT, read_prompts, tokenized
from ssdreal.executor.setup import Setup
from ssdreal.executor.simulated_twin import simulated_twin
from ssdreal.executor.sitting import Sitting
from ssdreal.executor.workload import Task
from ssdreal.models.catalog import describe
from ssdreal.places.topology import topology
from ssdsim.calibration.picked_texts import Picked
from ssdsim.calibration.prediction import REPLICATES, KnownPrompt, Predicted, Profile
from ssdsim.engine.setup import Setup as SimulatedSetup
from ssdsim.engine.simulation import simulate
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.methods.two_phase import TwoPhase
from ssdsim.policies.exit_residual import ExitResidual
from ssdsim.policies.exit_target import ExitTarget
from ssdsim.policies.topk_outcomes import TopkOutcomes
from ssdsim.run.trace import Run, load_run
from ssdsim.workloads.closed import Closed

PAIR = read_pair("smollm2")
LAYERS = describe(PAIR.target).layers
EXITS = (0.5, 0.8)
K, TOKENS, BLOCKS = 2, 48, 5
PROFILE, RUNS = "profile.jsonl", "runs.jsonl"
METRICS = {"hit_rate": 3, "acceptance_length": 3, "tokens_per_s": 1}


def draw(folder: Path) -> None:
    """Deal the project's prompts out, kind by kind; the runs' are in an order drawn as well."""
    rng, kinds = default_rng(0), defaultdict(list)
    for line in DEFAULT.read_text(encoding="utf-8").splitlines():
        kinds[json.loads(line)["kind"]].append(line)
    drawn = [rng.permutation(lines) for lines in kinds.values()]
    halves = [[line for lines in drawn for line in lines[half::2]] for half in (0, 1)]
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in zip((PROFILE, RUNS), halves, strict=True):
        (folder / name).write_text("\n".join(rng.permutation(lines)) + "\n", encoding="utf-8")


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
    workload = Closed(prompts, output_tokens=TOKENS)
    return {
        name: Setup(method, workload, TopkOutcomes(budget), lookahead=K)
        for name, (method, budget) in methods.items()
    }


def tasks(folder: Path) -> list[Task]:
    """Return the prompts that predictions are tested on."""
    return tokenized(read_prompts(str(folder / RUNS)), PAIR.target)


def measure(folder: Path) -> None:
    """Decode every block with every method; what is kept is not made again."""
    rng, where, texts = default_rng(0), topology("auto", None), tasks(folder)
    kept = journal(folder / "measured.json", {"methods": [*setups(len(texts))]}, resume=True)
    with closing(Sitting(PAIR, "bfloat16")) as sitting:
        for block in range(BLOCKS):
            own = texts[block::BLOCKS]
            asked = [*setups(len(own)).items()]
            for at in rng.permutation(len(asked)):
                name, setup = asked[at]
                running = sitting.execution(setup, where.places(setup.draft_on), own)
                kept.once(f"{name} {block}", RUN, lambda one=running: _decoded(one))


def _decoded(running: Execution) -> Run:
    running.run()
    return running.result()


def table(folder: Path) -> None:
    """Print what was measured beside what the profile says."""
    texts, profile = tasks(folder), Profile(folder / "early_exit")
    for name, setup in setups(len(texts)).items():
        runs = [load_run(folder / f"{name} {block}") for block in range(BLOCKS)]
        heard = round(setup.method.exit * LAYERS) if setup.method.exit < 1 else None
        row = cells(name, runs, predicted(setup, name, profile, heard, texts))
        sys.stdout.write(" | ".join(row) + "\n")
        sys.stdout.flush()


def predicted(
    setup: Setup, name: str, profile: Profile, heard: int | None, texts: list[Task]
) -> Predicted:
    """Return what a profile says of a run in blocks, each of which begins to learn anew.

    `heard` is the layer after which its target speaks.
    """
    acceptance = replace(profile.acceptance, exit_layer=heard)
    twin = simulated_twin(setup, acceptance, profile.machine)
    known = [KnownPrompt(text.kind, len(text.tokens)) for text in texts]
    found = [
        together([simulate(of) for of in blocks(profile.replicate(twin, name, number, known))])
        for number in range(REPLICATES)
    ]
    return Predicted({metric: tuple(one[metric] for one in found) for metric in METRICS})


def blocks(whole: SimulatedSetup) -> list[SimulatedSetup]:
    """Return the blocks of a simulated run of all prompts."""
    picked, workload = whole.acceptance, whole.workload
    assert isinstance(picked, Picked)
    names = [picked.prompts[block::BLOCKS] for block in range(BLOCKS)]
    lengths = [picked.lengths[block::BLOCKS] for block in range(BLOCKS)]
    return [
        replace(
            whole,
            acceptance=replace(picked, prompts=own, lengths=long),
            workload=replace(workload, prompts=len(own)),
        )
        for own, long in zip(names, lengths, strict=True)
    ]


def together(runs: list[Run]) -> dict[str, float]:
    """Return the metrics of all blocks as if they were one run."""
    tables = [run.rounds for run in runs]
    hits = pd.concat([table["hit"].dropna() for table in tables])
    tokens = [run.metrics["tokens"] for run in runs]
    seconds = [run.metrics["tokens"] / run.metrics["tokens_per_s"] for run in runs]
    lengths = [run.metrics["acceptance_length"] for run in runs]
    return {
        "hit_rate": hits.astype(float).mean(),
        "acceptance_length": np.average(lengths, weights=[*map(len, tables)]),
        "tokens_per_s": sum(tokens) / sum(seconds),
    }


def cells(name: str, runs: list[Run], said: Predicted) -> list[str]:
    """Return a row: the share at which the target spoke, then metrics, measured and predicted."""
    shares = [run.info["exit"]["share"] for run in runs if "exit" in run.info]
    found = together(runs)
    row = [name, f"{sum(shares) / len(shares):.2f}" if shares else "-"]
    for metric, digits in METRICS.items():
        of, value = said.interval(metric), found[metric]
        guess = f"{of.middle:.{digits}f} ({of.low:.{digits}f} to {of.high:.{digits}f})"
        row += ["-", "-"] if np.isnan(value) else [f"{value:.{digits}f}", guess]
    return row


if __name__ == "__main__":
    {"draw": draw, "measure": measure, "table": table}[sys.argv[1]](Path(sys.argv[2]))
