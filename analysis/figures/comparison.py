"""Predictions beside measurements: errors, and what causes them."""

import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ssdsim.calibration.error_causes import CAUSES

BAND = 0.05
KINDS = {"ar": "AR", "sd": "SD", "ssd": "SSD"}


def configurations(folder: Path, name: str = "held_out") -> pd.DataFrame:
    """Return a row a configuration: what was predicted, measured, and why they differ."""
    content = json.loads((folder / f"{name}.json").read_text())
    return pd.DataFrame([_row(one) for one in content["configurations"]])


def verdicts(folder: Path, name: str = "held_out") -> pd.DataFrame:
    """Return the summaries of a validation: of tokens/s, both speedups, and without an anchor."""
    content = json.loads((folder / f"{name}.json").read_text())
    return pd.DataFrame(content["verdicts"])


def _row(one: dict[str, Any]) -> dict[str, Any]:
    speeds = one["measured"]["tokens_per_s"]
    measured, expected = float(np.median(speeds)), one["predicted"]["tokens_per_s"]
    words = dict(word.split("=", 1) for word in one["overrides"].split())
    causes = one["causes"]
    values = [causes["measured"], *(causes[cause] for cause in CAUSES)]
    steps = np.diff(values) / values[0]
    method = one["name"].partition("_")[0]
    return {
        "part": one["part"],
        "name": one["name"],
        "title": f"{one['part']}/{one['name']}",
        "method": KINDS.get(method, "SSD"),
        "baseline": one["baseline"],
        "K": one["lookahead"],
        "policy": words.get("policy", "topk_outcomes") if method == "ssd" else "–",
        "backup": words.get("backup", "jit") if method == "ssd" else "–",
        "temperature": float(words.get("temperature", 0)),
        "coupling": words.get("coupling", "maximal"),
        "saguaro": float(words.get("saguaro.constant", 1)),
        "predicted": expected["middle"],
        "low": expected["low"],
        "high": expected["high"],
        "measured": measured,
        "repeats": speeds,
        "error": expected["middle"] / measured - 1,
        "error_any_hour": one["predicted_alone"]["tokens_per_s"]["middle"] / measured - 1,
        "inside": _inside(one["intervals"], speeds),
        "inside_ar": _inside(**one["speedups"]["ar"]) if "ar" in one["speedups"] else np.nan,
        "hit_rate": np.median(one["measured"]["hit_rate"]) if _known(one, "hit_rate") else np.nan,
        "hit_rate_predicted": one["predicted"]["hit_rate"]["middle"],
        "length": float(np.median(one["measured"]["acceptance_length"])),
        "length_predicted": one["predicted"]["acceptance_length"]["middle"],
        **dict(zip(CAUSES, steps, strict=True)),
    }


def _inside(intervals: list[dict[str, float]], measured: list[float]) -> float:
    """Return the share of measurements that lie in their intervals."""
    pairs = zip(intervals, measured, strict=True)
    return float(np.mean([of["low"] <= value <= of["high"] for of, value in pairs]))


def coverage(frame: pd.DataFrame) -> Figure:
    """Draw which share of single measurements lies in its 90 % interval, by group of runs."""
    factors = ("method", "K", "temperature", "part")
    figure, grid = plt.subplots(1, len(factors), figsize=(13, 4), sharey=True)
    for axes, factor in zip(grid, factors, strict=True):
        rows = frame.groupby(factor)[["inside", "inside_ar"]].mean() * 100
        names = {"inside": "tokens/s", "inside_ar": "× AR"}
        rows.rename(columns=names).plot.bar(ax=axes, rot=0, legend=factor == factors[0])
        axes.axhspan(85, 95, color="0.9", zorder=0)
        axes.set(title=factor, xlabel="", ylabel="inside their 90 % interval, %", ylim=(0, 105))
    figure.suptitle("Coverage by group (grey: 85 to 95 %)", fontweight="bold")
    figure.tight_layout()
    return figure


def _known(one: dict[str, Any], metric: str) -> bool:
    return None not in one["measured"][metric]


def predicted_against_measured(frame: pd.DataFrame) -> Figure:
    """Draw every configuration, its interval, and a band of ±5 %."""
    figure, axes = plt.subplots(figsize=(8, 7))
    low, high = 0.9 * frame[["low", "measured"]].min().min(), 1.05 * frame.high.max()
    line = np.array([low, high])
    axes.fill_between(line, line * (1 - BAND), line * (1 + BAND), color="0.88", label="±5 %")
    axes.plot(line, line, color="0.5", linewidth=1)
    colours = dict(zip(("AR", "SD", "SSD"), sns.color_palette("deep"), strict=False))
    for (method, baseline), rows in frame.groupby(["method", "baseline"]):
        error = [rows.predicted - rows.low, rows.high - rows.predicted]
        face = "white" if baseline else colours[method]
        label = f"{method}{' (baseline)' if baseline else ''}"
        axes.errorbar(
            rows.measured,
            rows.predicted,
            yerr=np.maximum(error, 0),
            fmt="o",
            color=colours[method],
            markerfacecolor=face,
            elinewidth=1,
            markersize=6,
            label=label,
        )
    axes.set(xlim=line, ylim=line, xlabel="measured tokens/s (median of the repeats)")
    axes.set(ylabel="predicted tokens/s (bar: 90 % of single measurements)")
    axes.set_title("Predicted before anything was measured")
    axes.legend(loc="upper left")
    return figure


def error_by_factor(frame: pd.DataFrame) -> Figure:
    """Draw signed errors by each factor of the configurations."""
    factors = ("method", "K", "policy", "backup", "temperature", "part")
    figure, grid = plt.subplots(2, 3, figsize=(13, 7.5), sharey=True)
    for axes, factor in zip(grid.flat, factors, strict=True):
        rows = frame[frame[factor] != "–"].sort_values(factor)
        rows = rows.assign(percent=100 * rows.error, level=rows[factor].astype(str))
        axes.axhspan(-5, 5, color="0.92")
        axes.axhline(0, color="0.5", linewidth=1)
        sns.stripplot(rows, x="level", y="percent", ax=axes, size=7, alpha=0.8, color="#4c72b0")
        axes.set(title=factor, xlabel="", ylabel="error of the prediction, %")
        axes.tick_params(axis="x", rotation=20 if factor in {"policy", "backup"} else 0)
    figure.suptitle("Error of tokens/s by factor (grey: ±5 %)", fontweight="bold")
    figure.tight_layout()
    return figure


def waterfall(frame: pd.DataFrame) -> Figure:
    """Draw what each guess adds to the error: every configuration, and the mean."""
    figure, axes = plt.subplots(figsize=(9, 5.5))
    labels = ["scheduling\nlogic", "fitted\ndurations", "contention", "drift", "acceptance"]
    total, steps = 0.0, frame[list(CAUSES)].mean() * 100
    for at, cause in enumerate(CAUSES):
        axes.bar(at, steps[cause], bottom=total, width=0.55, color="#8da9cf", edgecolor="#4c72b0")
        axes.plot([at + 0.275, at + 0.725], [total + steps[cause]] * 2, color="0.5", linewidth=1)
        jitter = np.linspace(-0.2, 0.2, len(frame))
        axes.scatter(at + jitter, 100 * frame[cause], s=14, color="#c44e52", alpha=0.7, zorder=3)
        total += steps[cause]
    axes.bar(len(CAUSES), total, width=0.55, color="#4c72b0")
    axes.scatter(
        len(CAUSES) + np.linspace(-0.2, 0.2, len(frame)),
        100 * frame[list(CAUSES)].sum(axis=1),
        s=14,
        color="#c44e52",
        alpha=0.7,
        zorder=3,
        label="one configuration's own step",
    )
    axes.axhline(0, color="0.3", linewidth=1)
    axes.set_xticks(range(len(CAUSES) + 1), [*labels, "whole\nprediction"])
    axes.set(ylabel="of the measured tokens/s, %", title="What each guess adds to the error")
    handles, names = axes.get_legend_handles_labels()
    axes.legend([*handles, Patch(color="#8da9cf")], [*names, "mean step"], loc="best")
    return figure
