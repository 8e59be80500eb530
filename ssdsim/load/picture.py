"""A picture of latency against throughput: a line a method, each point another rate."""

from pathlib import Path
from typing import TYPE_CHECKING

from ssdsim.load.curves import Curve, Load

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST = 20.0
"""Times the least latency at which a line leaves the picture: queues grow without end."""


def load_picture(found: Load, latency: str, path: Path) -> None:
    """Write latency against output tokens/s as a PNG.

    Of each method the bold line is the best configuration at every rate, and the thin ones are all
    its configurations.

    Parameters
    ----------
    found
        What is drawn.
    latency
        Which latency.
    path
        The PNG to write.

    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    for number, method in enumerate(found.methods):
        own = [curve for curve in found.curves if curve.method == method]
        for curve in own if len(own) > 1 else ():
            axes.plot(*_line(curve, latency), color=f"C{number}", alpha=0.3, linewidth=0.8)
        axes.plot(*_best(found, method, latency), "o-", color=f"C{number}", label=method)
    _frame(axes, found, latency)
    figure.savefig(path, format="png")


def _line(curve: Curve, latency: str) -> tuple[list[float], list[float]]:
    points = [*curve.by_rate.values()]
    return [of["output_tokens_per_s"] or 0.0 for of in points], [
        of[latency] or 0.0 for of in points
    ]


def _best(found: Load, method: str, latency: str) -> tuple[list[float], list[float]]:
    chosen = [(found.best(rate, latency, method), rate) for rate in found.rates]
    points = [curve.by_rate[rate] for curve, rate in chosen if curve is not None]
    return [of["output_tokens_per_s"] or 0.0 for of in points], [
        of[latency] or 0.0 for of in points
    ]


def _frame(axes: "Axes", found: Load, latency: str) -> None:
    least = min(min(_line(curve, latency)[1]) for curve in found.curves)
    most = max(max(_line(curve, latency)[1]) for curve in found.curves)
    axes.set_yscale("log")
    axes.set_ylim(top=min(1.2 * most, MOST * least) or 1.0)
    axes.set_xlim(left=0)
    axes.set_xlabel("output tokens/s")
    axes.set_ylabel(f"{latency}, s")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
