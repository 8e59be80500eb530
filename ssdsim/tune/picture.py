"""A picture of everything evaluated: speed against what it costs, and the front of what is best."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ssdsim.tune.evaluation import Figures
from ssdsim.tune.search_space import Options

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Costs = tuple[str, Callable[[Figures], float | None]]
"""What is better the more of it there is: its name, and its value."""

PER_DEVICE: Costs = ("tokens/s per device", lambda figures: figures.per_device)
PER_JOULE: Costs = (
    "tokens per joule",
    lambda figures: 1 / figures.joules_per_token if figures.joules_per_token else None,
)


def front_picture(found: Mapping[Options, Figures], choice: Options, path: Path) -> None:
    """Write tokens/s against tokens/s per device, and per joule where power is known, as a PNG.

    Parameters
    ----------
    found
        Everything evaluated that can be.
    choice
        Marked.
    path
        The PNG to write.

    """
    from matplotlib.figure import Figure

    powered = any(figures.joules_per_token for figures in found.values())
    panels = [PER_DEVICE, PER_JOULE] if powered else [PER_DEVICE]
    figure = Figure(figsize=(6.5 * len(panels) + 1.5, 5), dpi=110, layout="constrained")
    for number, panel in enumerate(panels, 1):
        axes = figure.add_subplot(1, len(panels), number)
        _draw(axes, found, choice, panel)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    figure.savefig(path, format="png")


def front(points: Mapping[Options, tuple[float, float]]) -> list[Options]:
    """Return the points that no other one beats in both coordinates, by the first one falling."""
    order = sorted(points, key=lambda one: (-points[one][0], -points[one][1]))
    kept: list[Options] = []
    for one in order:
        if not kept or points[one][1] > points[kept[-1]][1]:
            kept.append(one)
    return kept


def _draw(axes: "Axes", found: Mapping[Options, Figures], choice: Options, panel: Costs) -> None:
    name, value = panel
    points = {
        options: (figures.tokens_per_s, cost)
        for options, figures in found.items()
        if (cost := value(figures)) is not None
    }
    methods = sorted({_method(options) for options in points})
    for number, method in enumerate(methods):
        own = [point for options, point in points.items() if _method(options) == method]
        x, y = zip(*own, strict=True)
        axes.scatter(x, y, s=14, alpha=0.6, color=f"C{number}", label=method)
    line = [points[options] for options in front(points)]
    axes.plot(*zip(*line, strict=True), color="0.3", linewidth=1, label="no other beats it in both")
    at = points[choice]
    axes.plot([at[0]], [at[1]], "o", markersize=12, color="black", fillstyle="none", label="choice")
    axes.set_xlabel("tokens/s")
    axes.set_ylabel(name)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.spines[["top", "right"]].set_visible(False)


def _method(options: Options) -> str:
    return str(dict(options)["method"])
