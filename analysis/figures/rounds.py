"""Rounds, measured and simulated: time lines, durations, hits."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ssdsim import load_run, simulate
from ssdsim.calibration.prediction import Profile
from ssdsim.calibration.resimulation import setup_of, with_own_durations, with_own_outcomes
from ssdsim.run.trace import Run

COLOURS = {"verify": "#4c72b0", "speculate": "#dd8452", "prespeculate": "#55a868"}


def twins(folder: Path, title: str) -> dict[str, Run]:
    """Return a measured run and the same simulated: with its own outcomes, and with its durations.

    The profile supplies what is not the run's own.
    """
    profile, run = Profile(folder), load_run(folder / "runs" / title)
    setup = with_own_outcomes(setup_of(run, profile.acceptance, profile.machine), run)
    return {
        "measured": run,
        "own durations": simulate(with_own_durations(setup, run, profile.machine.dispatch)),
        "profile's durations": simulate(setup),
    }


def twin_timelines(runs: dict[str, Run], seq: int = 1, rounds: int = 8) -> Figure:
    """Draw the first rounds of one sequence, measured above and simulated below."""
    figure, grid = plt.subplots(len(runs), 1, figsize=(14, 2.3 * len(runs)), sharex=True)
    for axes, (name, run) in zip(grid, runs.items(), strict=True):
        _timeline(axes, run, seq, rounds)
        axes.set_title(name, loc="left", fontsize=11)
    grid[-1].set_xlabel("ms from the sequence's first round")
    handles = [Patch(color=colour, label=kind) for kind, colour in COLOURS.items()]
    figure.legend(handles=handles, loc="upper right", ncols=len(handles))
    figure.suptitle("One run, measured and simulated", fontweight="bold", x=0.07, ha="left")
    figure.tight_layout()
    return figure


def _timeline(axes: Axes, run: Run, seq: int, rounds: int) -> None:
    own = run.rounds[run.rounds.seq == seq].head(rounds)
    origin, end = own.start.iloc[0], own.end.iloc[-1]
    spans = run.spans[(run.spans.start >= origin - 1e-4) & (run.spans.start < end)]
    for at, lane in enumerate(("draft", "target")):
        for kind, colour in COLOURS.items():
            part = spans[(spans.lane == lane) & (spans.kind == kind)]
            start, length = 1e3 * (part.start - origin), 1e3 * (part.end - part.start)
            bars = list(zip(start, length, strict=True))
            axes.broken_barh(bars, (at - 0.38, 0.76), color=colour, edgecolor="white")
    for row in own.itertuples():
        axes.axvline(1e3 * (row.end - origin), color="0.3", linewidth=0.8, linestyle=":")
        word = "" if row.hit is None or pd.isna(row.hit) else "hit " if row.hit else "miss "
        label = f"{word}+{row.accepted + 1}"
        axes.text(1e3 * (row.end - origin), 1.45, label, fontsize=8, ha="right", color="0.25")
    axes.set_yticks([0, 1], ["draft", "target"])
    axes.set_ylim(-0.5, 1.75)
    axes.grid(visible=False)


def round_times(folder: Path, titles: Sequence[str]) -> Figure:
    """Draw the distribution of round times, measured and simulated."""
    columns = 3
    rows = -(-len(titles) // columns)
    figure, grid = plt.subplots(rows, columns, figsize=(13, 3.4 * rows), squeeze=False)
    for axes in grid.flat[len(titles) :]:
        axes.set_visible(False)
    for axes, title in zip(grid.flat, titles, strict=False):
        _round_times(axes, folder, title)
    grid.flat[0].legend(loc="lower right", fontsize=9)
    figure.suptitle("Round time, cumulative shares", fontweight="bold")
    figure.tight_layout()
    return figure


def _round_times(axes: Axes, folder: Path, title: str) -> None:
    profile, run = Profile(folder), load_run(folder / "runs" / title)
    setup = setup_of(run, profile.acceptance, profile.machine)
    for name, of, colour in (
        ("measured", run, "#c44e52"),
        ("predicted", simulate(setup), "#4c72b0"),
    ):
        seconds = np.sort(of.rounds.end - of.rounds.start) * 1e3
        shares = np.linspace(0, 1, len(seconds))
        axes.plot(seconds, shares, label=name, color=colour, linewidth=2)
    axes.set(title=title.partition("/")[2], xlabel="ms", ylabel="share of rounds")
    low, high = np.quantile(run.rounds.end - run.rounds.start, [0.01, 0.97]) * 1e3
    axes.set_xlim(0.8 * low, 1.25 * high)


def hit_rates(folder: Path, titles: Sequence[str]) -> Figure:
    """Draw how often the bonus token is among the draft's top F, by accepted tokens.

    Lines from the profile's trace, dots from measured runs; every round tells it for every F.
    """
    figure, grid = plt.subplots(1, len(titles), figsize=(6 * len(titles), 4.6), sharey=True)
    for axes, title in zip(np.atleast_1d(grid), titles, strict=True):
        profile, run = Profile(folder), load_run(folder / "runs" / title)
        setup = setup_of(run, profile.acceptance, profile.machine)
        simulated = simulate(replace(setup, workload=replace(setup.workload, prompts=24)))
        for colour, (label, rows) in zip(
            sns.color_palette("deep"), _by_end(run, simulated), strict=False
        ):
            fanouts = np.arange(1, 9)
            measured, expected = (_within(of, fanouts) for of in rows)
            axes.plot(fanouts, expected, color=colour, label=label)
            axes.plot(fanouts, measured, "o", color=colour)
        axes.set(title=title.partition("/")[2], xlabel="fan-out F", ylim=(0, 1))
        axes.legend(title="round ended", loc="lower right")
    np.atleast_1d(grid)[0].set_ylabel("bonus token among the top F")
    figure.suptitle("Hit rate by position and fan-out: lines predicted, dots measured")
    figure.tight_layout()
    return figure


def _by_end(*runs: Run) -> Iterator[tuple[str, list[pd.Series]]]:
    """Yield the ranks of rounds that end in a rejection, and of those that accept everything."""
    for label, full in (("in a rejection", False), ("with all accepted", True)):
        yield label, [_ranks(run.rounds, full) for run in runs]


def _ranks(rounds: pd.DataFrame, full: bool) -> pd.Series:
    ended = (rounds.accepted == rounds.drafted) == full
    return rounds["rank"][(rounds.drafted > 0) & ended]


def _within(ranks: pd.Series, fanouts: np.ndarray) -> list[float]:
    return [float(((ranks >= 0) & (ranks < F)).mean()) for F in fanouts]
