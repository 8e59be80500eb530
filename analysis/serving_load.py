"""The study: is a GPU for the draft worth it under load? Llama-3.1-70B with a 1B draft on H100s.

SSD on five GPUs against SD on four and on five, and against two replicas on eight and ten, over
the rate of requests, each at its own best lookahead. Prints Markdown tables, and writes
`serving_load.png` beside itself. Words behind it, as of `python -m ssdsim`, change the setting;
then nothing is drawn.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from joblib import Parallel, delayed

from ssdsim.load.points import Figures, Words, simulated

COMMON = (
    *("profile=demo", "serving=continuous", "serving.max_num_batched_tokens=2048"),
    # The lengths of Azure's conversations; as many come when it is quiet, which is Poisson.
    *("workload=azure_conv", "workload.quiet_rate=1", "workload.prompts=500"),
)
LOOKAHEADS = tuple(f"lookahead={K}" for K in (1, 2, 4, 6, 8))
SD = tuple(("method=speculative", word) for word in LOOKAHEADS)
SSD = tuple(
    ("method=ssd", word, *policy)
    for word, policy in product(
        LOOKAHEADS,
        (("policy.budget=verify",), ("policy=uniform_fanout", "policy.fanout=3")),
    )
)
TWO = ("replicas=2", "router=least_outstanding")
RATES = (0.5, 1.0, 2.0, 4.0, 6.0, 7.0, 8.0, 9.0, 10.0)
"""Requests a second, of one replica."""


@dataclass(frozen=True)
class System:
    """What serves.

    Attributes
    ----------
    gpus
        How many it has.
    shapes
        Words of the configurations among which it has its best.
    more
        Words of all of them.
    replicas
        How many; rates are as many times as high.

    """

    gpus: int
    shapes: tuple[Words, ...]
    more: Words = ()
    replicas: int = 1

    @property
    def rates(self) -> tuple[float, ...]:
        """Requests a second that are looked at."""
        return tuple(self.replicas * rate for rate in RATES)


FIVE = ("latency.target.devices=5",)
SYSTEMS = {
    "AR, 4 GPUs": System(4, (("method=autoregressive",),)),
    "SD, 4 GPUs": System(4, SD),
    "SD, 5 GPUs": System(5, SD, FIVE),
    "SSD, 4 + 1 GPUs": System(5, SSD),
    "SD, 2 × 4 GPUs": System(8, SD, TWO, 2),
    "SD, 2 × 5 GPUs": System(10, SD, (*FIVE, *TWO), 2),
    "SSD, 2 × (4 + 1) GPUs": System(10, SSD, TWO, 2),
}
LATENCIES = {"tpot_mean": "mean time per output token, ms", "e2e_mean": "mean time end to end, s"}


@dataclass(frozen=True)
class Best:
    """The best shape of a system at a rate: its words, and what it came to."""

    words: Words
    figures: Figures

    @property
    def shape(self) -> str:
        """Its lookahead, and how its outcomes are chosen."""
        named = {name: value for name, _, value in (word.partition("=") for word in self.words)}
        fanout = {"policy.budget": "verify", "policy.fanout": "F3"}
        parts = [f"K{named['lookahead']}"] if "lookahead" in named else []
        return " ".join([*parts, *(of for name, of in fanout.items() if name in named)])


Found = dict[str, list[Best]]


def study(words: Sequence[str]) -> Found:
    """Return the best of every system at each of its rates, by the mean time end to end."""
    asked = [*_asked(words)]
    points = Parallel(n_jobs=-1)(delayed(simulated)(line) for _, _, line in asked)
    best: dict[tuple[str, float], Best] = {}
    for (name, rate, line), point in zip(asked, points, strict=True):
        if point.refused:
            sys.stderr.write(f"{' '.join(line)}: {point.refused}\n")
            continue
        one, known = Best(line, point.figures), best.get((name, rate))
        if known is None or one.figures["e2e_mean"] < known.figures["e2e_mean"]:
            best[name, rate] = one
    return {name: [best[name, rate] for rate in of.rates] for name, of in SYSTEMS.items()}


def _asked(words: Sequence[str]) -> Iterator[tuple[str, float, Words]]:
    for name, system in SYSTEMS.items():
        for shape, rate in product(system.shapes, system.rates):
            line = (*COMMON, *words, *shape, *system.more, f"workload.rate={rate}")
            yield name, rate, line


def table(found: Found, replicas: int) -> str:
    """Return the mean times end to end of the systems with so many replicas, as Markdown."""
    own = {name: bests for name, bests in found.items() if SYSTEMS[name].replicas == replicas}
    lines = [f"| requests/s | {' | '.join(own)} |", f"| --- |{' --- |' * len(own)}"]
    for place, rate in enumerate(RATES):
        cells = [bests[place] for bests in own.values()]
        said = [f"{one.figures['e2e_mean']:.2f} {one.shape}".strip() for one in cells]
        lines.append(f"| {replicas * rate:g} | {' | '.join(said)} |")
    return "\n".join(lines)


def crossing(found: Found, ours: str, theirs: str, per_gpu: bool) -> float | None:
    """Return the rate from which on another system is as fast; None: it never is here.

    `per_gpu`: both are given as many requests a GPU; else as many altogether.
    """
    x, y = _curve(found, ours, "e2e_mean", per_gpu)
    other_x, other = _curve(found, theirs, "e2e_mean", per_gpu)
    within = (x >= other_x[0]) & (x <= other_x[-1])
    ahead = np.log(np.interp(x, other_x, other) / y)[within]
    x = x[within]
    lost = np.flatnonzero(ahead <= 0)
    if not len(lost):
        return None
    at = lost[0]
    if at == 0:
        return float(x[0])
    share = ahead[at - 1] / (ahead[at - 1] - ahead[at])
    return float(x[at - 1] + share * (x[at] - x[at - 1]))


def _curve(found: Found, name: str, latency: str, per_gpu: bool) -> tuple[np.ndarray, np.ndarray]:
    system = SYSTEMS[name]
    rates = np.array(system.rates) / (system.gpus if per_gpu else 1)
    return rates, np.array([one.figures[latency] for one in found[name]])


def draw(found: Found, path: Path) -> None:
    """Draw times over the rate, altogether and a GPU."""
    figure, panels = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
    for axes, per_gpu in zip(panels, (False, True), strict=True):
        for number, name in enumerate(found):
            style = "--" if SYSTEMS[name].replicas > 1 else "-"
            x, y = _curve(found, name, "e2e_mean", per_gpu)
            axes.plot(x, y, style, marker="o", markersize=3, color=f"C{number}", label=name)
        axes.set_yscale("log")
        axes.set_xlim(left=0)
        axes.set_ylim(top=20)
        axes.set_xlabel("requests/s per GPU" if per_gpu else "requests/s")
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel(LATENCIES["e2e_mean"])
    panels[0].legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Run the study."""
    words = sys.argv[1:]
    found = study(words)
    for replicas in (1, 2):
        sys.stdout.write(f"{table(found, replicas)}\n\n")
    pairs = [
        ("SSD, 4 + 1 GPUs", "SD, 4 GPUs"),
        ("SSD, 4 + 1 GPUs", "SD, 5 GPUs"),
        ("SSD, 4 + 1 GPUs", "SD, 2 × 4 GPUs"),
        ("SSD, 2 × (4 + 1) GPUs", "SD, 2 × 5 GPUs"),
    ]
    for (ours, theirs), per_gpu in product(pairs, (False, True)):
        at = crossing(found, ours, theirs, per_gpu)
        unit = "requests/s per GPU" if per_gpu else "requests/s"
        said = "never passed here" if at is None else f"passed at {at:.2f} {unit}"
        sys.stdout.write(f"{ours} by {theirs}, {unit}: {said}\n")
    if not words:
        draw(found, Path(__file__).with_suffix(".png"))


if __name__ == "__main__":
    main()
