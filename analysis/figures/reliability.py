"""Whether the probabilities that `topk_outcomes` goes by come true."""

from dataclasses import dataclass, field, replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.random import Generator

from ssdsim import Setup, simulate
from ssdsim.outcomes import Outcome, Speculation
from ssdsim.policies.topk_outcomes import TopkOutcomes

LIKELIEST = 32
"""Outcomes of a round whose probabilities are looked at."""


@dataclass(frozen=True)
class Watched(TopkOutcomes):
    """`topk_outcomes`, with a note of every probability and what came of it."""

    notes: list[tuple[int, float, bool]] = field(default_factory=list, compare=False)

    def start(self, lookahead: int, rng: Generator) -> "_Watched":
        """Return a learner that is watched."""
        return _Watched(super().start(lookahead, rng), self.notes)


@dataclass
class _Watched:
    learner: object
    notes: list[tuple[int, float, bool]]
    rounds: int = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self.learner, name)

    def observe(self, speculation: Speculation, outcome: Outcome) -> None:
        """Note what was thought of this round's outcomes, then let the learner learn."""
        likeliest = sorted(self.learner.probabilities(speculation), reverse=True)[:LIKELIEST]
        for probability, k, rank in likeliest:
            self.notes.append((self.rounds, probability, Outcome(-k, -rank) == outcome))
        self.rounds += 1
        self.learner.observe(speculation, outcome)


def watched(setup: Setup, budget: int = 12) -> pd.DataFrame:
    """Simulate a setup under the policy; return a row a round and outcome considered."""
    policy = Watched(budget=budget)
    simulate(replace(setup, policy=policy))
    return pd.DataFrame(policy.notes, columns=["round", "probability", "happened"])


def reliability(notes: pd.DataFrame, early: int = 50) -> Figure:
    """Draw how often outcomes came true against the probability they were given."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 5))
    left.plot([1e-3, 1], [1e-3, 1], color="0.5", linewidth=1)
    for label, rows, colour in (
        (f"first {early} rounds", notes[notes["round"] < early], "#dd8452"),
        ("later", notes[notes["round"] >= early], "#4c72b0"),
    ):
        _curve(left, rows, label, colour)
    left.set(xscale="log", yscale="log", xlim=(1e-3, 1), ylim=(1e-3, 1))
    left.set(xlabel="probability given", ylabel="share that came true (bar: ± 2 s.e.)")
    left.set_title("Calibration")
    left.legend()
    by_round = notes.groupby("round").agg(total=("probability", "sum"), found=("happened", "any"))
    window = by_round.rolling(100, min_periods=20).mean()
    right.plot(window.total, label="probability given to them together", color="#4c72b0")
    right.plot(window.found, label="share of rounds in which one came true", color="#c44e52")
    right.set(xlabel="round", ylim=(0, 1), title=f"The likeliest {LIKELIEST} outcomes of a round")
    right.set_ylabel("mean of the last 100 rounds")
    right.legend(loc="lower right")
    figure.tight_layout()
    return figure


def _curve(axes: plt.Axes, rows: pd.DataFrame, label: str, colour: str) -> None:
    edges = np.geomspace(1e-3, 1, 13)
    of = rows.groupby(pd.cut(rows.probability, edges), observed=True)
    found = of.agg(
        given=("probability", "mean"), share=("happened", "mean"), n=("happened", "size")
    )
    found = found[found.n >= 20]
    error = 2 * np.sqrt(found.share * (1 - found.share) / found.n)
    axes.errorbar(found.given, found.share, yerr=error, fmt="o-", label=label, color=colour)
