"""ssdsim beside llama.cpp's server: tokens/s of 36 configurations, simulated and measured.

`python analysis/llama_cpp.py` reads what analysis/llama_cpp_runs.py measured, simulates each
configuration from service times of other runs, prints the tables of docs/llama_cpp.md and draws its
picture.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from llama_cpp_runs import CURVES, FILE, MOST, NGRAM, rates
from scipy.stats import kendalltau

from ssdreal.llama_cpp.prediction import forced, write_texts
from ssdreal.llama_cpp.service_times import ServiceTimes
from ssdsim import Setup
from ssdsim.drafters.ngram_simple import NgramSimple
from ssdsim.engine.simulation import evaluate
from ssdsim.methods.speculative import Speculative
from ssdsim.observe.told import RoundCounts
from ssdsim.workloads.closed import Closed

Run = Mapping[str, Any]

COLORS = "C0", "C1", "C2", "C3", "C4", "C5"

TEXTS = 100
"""Simulated where acceptances are forced: the scatter of their tokens/s is then under a percent."""


class Simulated:
    """What ssdsim says of the measured configurations.

    Parameters
    ----------
    found
        What was measured.
    folder
        Where the texts that lookups read are written.

    """

    def __init__(self, found: Mapping[str, Any], folder: Path) -> None:
        self.times = {name: _times(of) for name, of in found["times"].items()}
        # The first token of a text comes from the prompt's pass, before any round.
        texts = enumerate(zip(found["prompts"], found["outputs"], strict=True))
        split = {str(at): ([*prompt, output[0]], output[1:]) for at, (prompt, output) in texts}
        prompts, outputs = ({name: of[part] for name, of in split.items()} for part in (0, 1))
        self.texts = write_texts(folder, prompts, outputs)
        self.count, self.tokens = len(outputs), len(outputs["0"])

    def drafted(self, threads: int, lookahead: int, shares: Sequence[float]) -> float:
        """Return tokens/s where the draft model drafts, and these shares are accepted."""
        machine = self.times[f"model, {threads}"].machine()
        workload = Closed(TEXTS, 0, self.tokens)
        return _speed(Speculative(), forced(shares), machine, workload, lookahead=lookahead)

    def looked_up(self, threads: int, lookahead: int) -> float:
        """Return tokens/s where tokens are looked up."""
        machine = self.times[f"lookup, {threads}"].machine()
        drafting = {"lookahead": lookahead, "drafter": NgramSimple(NGRAM)}
        workload = Closed(self.count, 0, self.tokens)
        return _speed(Speculative(), self.texts, machine, workload, **drafting)

    def of(self, run: Run, shares: Sequence[float] | None = None) -> float:
        """Return tokens/s of a run, by the rates that were forced or by these."""
        threads, K = run["threads"], run["lookahead"]
        if run["curve"] is None:
            return self.looked_up(threads, K)
        return self.drafted(threads, K, shares or rates(run["curve"], K))


def _times(of: Mapping[str, Any]) -> ServiceTimes:
    verify = {int(drafted): seconds for drafted, seconds in of["verify"].items()}
    return ServiceTimes(of["token"], of["step"], verify)


def _speed(*what: Any, **more: Any) -> float:
    return float(evaluate(Setup(*what, **more)).metrics["tokens_per_s"])


def came_out(run: Run) -> list[float]:
    """Return the rates by position that a run really had."""
    counts = RoundCounts()
    for drafted, accepted, rounds in run["lengths"]:
        counts.add(accepted, drafted, rounds)
    return [prod(counts.conditional[:j]) for j in range(1, run["lookahead"] + 1)]


def draw(simulated: Simulated, runs: Sequence[Run]) -> None:
    """Draw tokens/s over the lookahead: lines are simulated, points measured."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained", sharey=True)
    Ks = range(1, MOST + 1)
    for axis, threads in zip(axes, (1, 2), strict=True):
        for color, curve in zip(COLORS, (*CURVES, None), strict=True):
            lines = [
                simulated.of({"threads": threads, "curve": curve, "lookahead": K})
                for K in Ks
                if curve or K >= NGRAM
            ]
            axis.plot([*Ks][-len(lines) :], lines, color=color, label=curve or "lookups")
            own = [run for run in runs if (run["threads"], run["curve"]) == (threads, curve)]
            at = [run["lookahead"] for run in own]
            axis.plot(at, [_measured(run) for run in own], "o", color=color)
        axis.set(title=f"{threads} thread{'s' * (threads > 1)}", xlabel="lookahead")
    axes[0].set_ylabel("tokens/s")
    axes[0].set_ylim(bottom=0)
    lines, names = axes[0].get_legend_handles_labels()
    figure.legend(lines, names, title="accepted", loc="outside right center")
    figure.savefig(Path(__file__).with_name("llama_cpp.png"), dpi=130, metadata={"Software": None})


def _measured(run: Run) -> float:
    return float(run["tokens"] / run["seconds"])


def _summary(name: str, simulated: Sequence[float], measured: Sequence[float]) -> str:
    errors = np.array(simulated) / np.array(measured) - 1
    middle, most = 100 * np.quantile(abs(errors), [0.5, 0.95])
    order = kendalltau(simulated, measured).statistic
    sided = 100 * np.median(errors)
    off = f"{middle:.1f} % off in the median, {most:.1f} % at the 95th percentile"
    return f"{name}: {off}, {sided:+.1f} % by sign, Kendall {order:.3f}\n"


def main() -> None:
    """Print the table and draw the picture."""
    found = json.loads(FILE.read_text(encoding="utf-8"))
    runs, write = found["runs"], sys.stdout.write
    with TemporaryDirectory() as folder:
        simulated = Simulated(found, Path(folder))
        asked = [simulated.of(run) for run in runs]
        came = [simulated.of(run, came_out(run) if run["curve"] else None) for run in runs]
        draw(simulated, runs)
    measured = [_measured(run) for run in runs]
    for run, real, first, second in zip(runs, measured, asked, came, strict=True):
        what = f"{run['threads']} | {run['curve'] or 'lookups'} | {run['lookahead']}"
        write(f"| {what} | {real:.1f} | {first:.1f} | {100 * (first / real - 1):+.1f} % |")
        write(f" {100 * (second / real - 1):+.1f} % |\n")
    for threads in (1, 2):
        own = [at for at, run in enumerate(runs) if run["threads"] == threads]
        for name, said in (("by forced rates", asked), ("by those that came out", came)):
            few = [said[at] for at in own], [measured[at] for at in own]
            write(_summary(f"{threads} threads, {name}", *few))


if __name__ == "__main__":
    main()
