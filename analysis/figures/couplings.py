"""The study: ways to couple draft and target at a temperature, from one recorded trace."""

from collections.abc import Iterator
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ssdsim import Setup, simulate
from ssdsim.calibration.prediction import Profile
from ssdsim.latency.constant import Constant
from ssdsim.latency.machine import Machine
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.ssd import Ssd
from ssdsim.policies.uniform_fanout import UniformFanout
from ssdsim.sampling.settings import Sampling
from ssdsim.workloads.closed import Closed

TEMPERATURES = (0.3, 0.7, 1.0, 1.3)
CONSTANTS = (0.2, 0.4, 0.6, 0.8)
CHEAP = Machine(
    target=Constant(verify=1.0, step=0.0),
    draft=Constant(verify=0.0, step=0.1, glue=0.1, tree=0.12),
)
"""A draft on a device of its own whose step is a tenth of a verify: as with large targets."""

PANELS = {
    "hit_rate": "hit rate",
    "acceptance_length": "tokens a round",
    "speedup": "× over AR, two cores",
    "speedup_cheap": "× over AR, draft step = 1/10 verify",
}


def study(profile: Profile, lookahead: int = 2, fanout: int = 3, seeds: int = 6) -> pd.DataFrame:
    """Return a row a way of coupling and temperature, means over seeds."""
    return pd.DataFrame(list(_study(profile, lookahead, fanout, seeds)))


def _study(
    profile: Profile, lookahead: int, fanout: int, seeds: int
) -> Iterator[dict[str, object]]:
    base = Setup(
        Ssd("prune"),
        profile.acceptance,
        profile.machine,
        Closed(profile.prompts, 0, 48),
        policy=UniformFanout(fanout=fanout),
        lookahead=lookahead,
    )
    for name, sampling in _ways():
        own = replace(base, sampling=sampling)
        runs = [simulate(replace(own, seed=seed)) for seed in range(seeds)]
        cheap = simulate(replace(own, machine=CHEAP))
        alone = replace(own, method=Autoregressive())
        over, over_cheap = (simulate(replace(alone, machine=m)) for m in (own.machine, CHEAP))
        means = {
            metric: float(np.mean([run.metrics[metric] for run in runs]))
            for metric in ("hit_rate", "acceptance_length", "tokens_per_s")
        }
        yield {
            "way": name,
            "temperature": sampling.temperature,
            **means,
            "speedup": means["tokens_per_s"] / over.metrics["tokens_per_s"],
            "speedup_cheap": cheap.metrics["tokens_per_s"] / over_cheap.metrics["tokens_per_s"],
        }


def _ways() -> Iterator[tuple[str, Sampling]]:
    for temperature in TEMPERATURES:
        yield "maximal", Sampling(temperature)
        yield "gumbel", Sampling(temperature, "gumbel")
        for constant in CONSTANTS:
            yield f"Saguaro C={constant}", Sampling(temperature, saguaro_constant=constant)


def measured(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the confirming runs of `conf/validation/couplings.yaml` in the study's terms.

    Speedups are over AR at the same temperature, in the same sitting.
    """
    alone = frame[frame.baseline].set_index("temperature").measured
    runs = frame[~frame.baseline]
    way = np.where(
        runs.saguaro < 1,
        "Saguaro C=" + runs.saguaro.astype(str),
        runs.coupling,
    )
    return pd.DataFrame(
        {
            "way": way,
            "temperature": runs.temperature,
            "hit_rate": runs.hit_rate,
            "acceptance_length": runs.length,
            "speedup": runs.measured / runs.temperature.map(alone),
        }
    )


def couplings(simulated: pd.DataFrame, confirmed: pd.DataFrame) -> Figure:
    """Draw the study: lines simulated, dots measured."""
    figure, grid = plt.subplots(2, 2, figsize=(12, 9))
    for axes, (metric, label) in zip(grid.flat, PANELS.items(), strict=True):
        _panel(axes, simulated, confirmed, metric)
        axes.set(xlabel="temperature", title=label)
    grid.flat[1].legend(fontsize=9, loc="best")
    figure.suptitle("Coupling draft and target: lines simulated, dots measured", fontweight="bold")
    figure.tight_layout()
    return figure


def _panel(axes: Axes, simulated: pd.DataFrame, confirmed: pd.DataFrame, metric: str) -> None:
    saguaro = sns.color_palette("Greens_d", len(CONSTANTS))[::-1]
    colours = {"maximal": "#4c72b0", "gumbel": "#c44e52"}
    colours |= dict(zip((f"Saguaro C={C}" for C in CONSTANTS), saguaro, strict=True))
    for way, rows in simulated.groupby("way", sort=False):
        width = 2.5 if way in {"maximal", "gumbel"} else 1.3
        axes.plot(rows.temperature, rows[metric], color=colours[way], linewidth=width, label=way)
        dots = confirmed[confirmed.way == way]
        if metric in dots:
            axes.plot(dots.temperature, dots[metric], "o", color=colours[way], markersize=8)
