"""The study: SSD, MineDraft and PEARL over batch, each at its own best shape, on the same devices.

Prints a Markdown table, and writes `rivals_over_batch.png` beside itself. Options behind it, as of
`python -m ssdsim`, change the setting; then nothing is drawn.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import matplotlib.pyplot as plt

from ssdsim import Setup, expect, setup, simulate
from ssdsim.backups.base import Backup
from ssdsim.backups.jit import Jit
from ssdsim.backups.random import Random
from ssdsim.errors import ConfigError
from ssdsim.kinds import short_name
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.base import Method
from ssdsim.methods.minedraft import Minedraft
from ssdsim.methods.pearl import Pearl
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.policies.uniform_fanout import UniformFanout
from ssdsim.run.trace import Run
from ssdsim.workloads.closed import Closed

PROFILE = "h100x4_llama70b_1b"
BATCHES = (1, 2, 4, 8, 16, 32)
LOOKAHEADS = tuple(range(1, 21))
FANOUTS = (1, 2, 3, 4, 6, 8)
BACKUPS: tuple[Backup, ...] = (Jit(), Random())
TOKENS = 512
SEARCHED, MEASURED = 0, 1
"""Seeds: the best shape is looked for on one, its speed is told of another."""
METHODS: dict[str, tuple[Method, ...]] = {
    "AR, 4 GPUs": (Autoregressive(),),
    "SD, 4 GPUs": (Speculative(),),
    "SSD, 4 + 1": (Ssd("wait"), Ssd("prune")),
    "MineDraft, 4 + 1": (Minedraft(),),
    "PEARL, 4 + 1": (Pearl(),),
}


@dataclass(frozen=True)
class Best:
    """A method's best shape at a batch.

    Attributes
    ----------
    shape
        In words.
    run
        Its run.

    """

    shape: str
    run: Run

    @property
    def speed(self) -> tuple[float, float]:
        """Tokens a second and the half width of the 95 % interval."""
        metrics = self.run.metrics
        return metrics["tokens_per_s"], metrics["ci95"]["tokens_per_s"]


def candidates(start: Setup, methods: tuple[Method, ...]) -> Iterator[Setup]:
    """Yield all shapes that are tried."""
    for method, lookahead in product(methods, LOOKAHEADS):
        shaped = replace(start, method=method, lookahead=lookahead)
        if not isinstance(method, Ssd):
            yield shaped
            continue
        for fanout, backup in product(FANOUTS, BACKUPS):
            policy = UniformFanout(fanout=fanout, budget=fanout * (lookahead + 1))
            yield replace(shaped, policy=policy, backup=backup)


def promise(one: Setup) -> float:
    """Return a setup's tokens a second, by the exact expectation where it is covered."""
    try:
        return expect(one).tokens_per_s
    except ConfigError:
        return float(simulate(one).metrics["tokens_per_s"])


def best(start: Setup, methods: tuple[Method, ...]) -> Best:
    """Look for the best shape and measure it on other texts."""
    small = replace(start, workload=Closed(2 * start.batch, 512, TOKENS), seed=SEARCHED)
    found = max(candidates(small, methods), key=promise)
    whole = Closed(max(64, 8 * start.batch), 512, TOKENS)
    return Best(_named(found), simulate(replace(found, workload=whole, seed=MEASURED)))


def _named(found: Setup) -> str:
    uses = found.method.uses
    words = [f"K{found.lookahead}"] if "lookahead" in uses else []
    if isinstance(found.method, Ssd):
        assert isinstance(found.policy, UniformFanout)
        words += [
            f"F{found.policy.fanout}",
            found.method.on_outcome,
            short_name(type(found.backup)),
        ]
    return " ".join(words)


def table(found: dict[str, list[Best]]) -> str:
    """Return the results as Markdown."""
    lines = [f"| batch | {' | '.join(found)} |", f"| --- |{' --- |' * len(found)}"]
    for place, batch in enumerate(BATCHES):
        cells = [bests[place] for bests in found.values()]
        said = [f"{one.speed[0]:.0f} ± {one.speed[1]:.0f} {one.shape}".strip() for one in cells]
        lines.append(f"| {batch} | {' | '.join(said)} |")
    return "\n".join(lines)


def picture(found: dict[str, list[Best]], path: Path) -> None:
    """Draw tokens a second of each method over those of AR."""
    figure, axes = plt.subplots(figsize=(7, 4))
    plain = [one.speed[0] for one in found["AR, 4 GPUs"]]
    for name, bests in found.items():
        if name == "AR, 4 GPUs":
            continue
        speeds, widths = zip(*(one.speed for one in bests), strict=True)
        over = [speed / ar for speed, ar in zip(speeds, plain, strict=True)]
        bars = [width / ar for width, ar in zip(widths, plain, strict=True)]
        axes.errorbar(BATCHES, over, bars, marker="o", capsize=3, label=name)
    axes.set(xscale="log", xlabel="batch", ylabel="× AR on the target's 4 GPUs", ylim=(0, None))
    axes.set_xticks(BATCHES, [str(batch) for batch in BATCHES])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=110, bbox_inches="tight", metadata={"Software": None})


def main(words: Sequence[str]) -> None:
    """Search, measure, draw and print."""
    found: dict[str, list[Best]] = {name: [] for name in METHODS}
    for batch, (name, methods) in product(BATCHES, METHODS.items()):
        start = setup(f"profile={PROFILE}", f"batch={batch}", *words)
        found[name].append(best(start, methods))
    if not words:
        picture(found, Path(__file__).with_suffix(".png"))
    sys.stdout.write(table(found) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
