"""Two-phase SSD beside plain SSD at its own best shape, over batch 1 to 32, on two pairs.

`python analysis/two_phase.py` prints the table of docs/two_phase.md and draws its picture.
"""

import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from ssdsim import Setup, setup
from ssdsim.engine.simulation import evaluate

PAIRS = {"duet_llama2_70b": (), "h100x4_llama70b_1b": ("temperature=0.7",)}
BATCHES = 1, 2, 4, 8, 16, 32
LOOKAHEADS = 1, 2, 3, 4, 5, 7
FANOUTS = 1, 2, 3, 6
BACKUPS = ("backup=jit",), ("backup=shallow", "backup.depth=2")
TOLD = "method.second={_target_: partial_oracle, share: 0.54, budget: 8}"
METHODS = {"ssd": ("method=ssd",), "two_phase": ("method=two_phase", TOLD)}
SEEDS = range(1, 9)
T_95 = 2.365
"""Of as many seeds."""


def shapes(pair: str, batch: int, method: str) -> Iterator[tuple[str, ...]]:
    """Yield every shape of a method as its command."""
    for K, F, backup in product(LOOKAHEADS, FANOUTS, BACKUPS):
        shape = f"lookahead={K}", "policy=uniform_fanout", f"policy.fanout={F}", *backup
        asked = f"profile={pair}", *PAIRS[pair], f"batch={batch}", *METHODS[method], *shape
        if method == "ssd":
            yield asked
            continue
        for depth in (K, "exit"):
            yield *asked, f"method.first_depth={depth}"


def speed(asked: Setup, seed: int) -> float:
    """Return tokens a second."""
    metrics: dict[str, float] = evaluate(replace(asked, seed=seed)).metrics
    return metrics["tokens_per_s"]


def sized(words: tuple[str, ...], batch: int, waves: int) -> Setup:
    """Return the setup of a command, for full batches."""
    tokens = "workload.output_tokens=128"
    return setup(*words, f"workload.prompts={waves * batch}", tokens)


def compared(pair: str, batch: int) -> dict[str, Any]:
    """Return both methods' best shapes, and how much faster one is over seeds not chosen by."""
    best = {
        method: max(shapes(pair, batch, method), key=lambda words: _first(words, batch))
        for method in METHODS
    }
    plain, two = (
        np.array([speed(sized(best[method], batch, _waves(batch)), seed) for seed in SEEDS])
        for method in METHODS
    )
    gains = 100 * (two / plain - 1)
    width = T_95 * gains.std(ddof=1) / np.sqrt(gains.size)
    return {"best": best, "plain": plain.mean(), "two": two.mean(), "gain": (gains.mean(), width)}


def _first(words: tuple[str, ...], batch: int) -> float:
    return speed(sized(words, batch, max(2, 24 // batch)), 0)


def _waves(batch: int) -> int:
    return max(4, 48 // batch)


def _shape(words: tuple[str, ...]) -> str:
    named = dict(word.split("=", 1) for word in words)
    backup = named.get("backup.depth", "K")
    first = ", first what fits" if named.get("method.first_depth") == "exit" else ""
    return f"K={named['lookahead']} F={named['policy.fanout']}, backup {backup}{first}"


def main() -> None:
    """Print the table and draw the picture."""
    cases = [*product(PAIRS, BATCHES)]
    with ProcessPoolExecutor(2) as pool:
        found = dict(zip(cases, pool.map(compared, *zip(*cases, strict=True)), strict=True))
    figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
    for pair in PAIRS:
        gains = np.array([found[pair, batch]["gain"] for batch in BATCHES])
        axes.errorbar(BATCHES, gains[:, 0], gains[:, 1], marker="o", capsize=3, label=pair)
        for batch in BATCHES:
            one = found[pair, batch]
            shapes_ = " | ".join(_shape(one["best"][method]) for method in METHODS)
            speeds = f"{one['plain']:.1f} | {one['two']:.1f}"
            gain = f"{one['gain'][0]:+.1f} ± {one['gain'][1]:.1f}"
            sys.stdout.write(f"| {pair} | {batch} | {shapes_} | {speeds} | {gain} |\n")
    axes.axhline(0, color="grey", linewidth=0.8)
    axes.set(xscale="log", xlabel="batch", ylabel="two phases over plain SSD, %", xticks=BATCHES)
    axes.set_xticks(BATCHES, map(str, BATCHES))
    axes.minorticks_off()
    axes.legend()
    figure.savefig(Path(__file__).with_name("two_phase.png"), dpi=130, metadata={"Software": None})


if __name__ == "__main__":
    main()
