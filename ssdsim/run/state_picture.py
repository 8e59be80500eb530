"""Draws who waits and runs at the replicas of a run, and their KV blocks, over time."""

from typing import TYPE_CHECKING

from ssdsim.run.station import POOL
from ssdsim.run.trace import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = {"running": "#4c78a8", "waiting": "#ee7f80"}
HELD = "#8c8c8c"


def draw_state(axes: "Axes", run: Run) -> None:
    """Draw the counts of all replicas together, and on an axis of its own the blocks they hold."""
    state = run.state
    assert state is not None, "the run is one of requests"
    counts = ["waiting", "running", "blocks"]
    requests = state[state.replica != POOL]
    each = requests.pivot_table(index="time", columns="replica", values=counts, aggfunc="last")
    total = each.ffill().fillna(0).T.groupby(level=0).sum().T
    for name, colour in COLOURS.items():
        axes.step(total.index, total[name], where="post", color=colour, label=name, linewidth=1)
    axes.set_ylabel("requests")
    axes.set_xlabel("time since the run's start, s")
    axes.set_ylim(bottom=0)
    axes.set_title("the whole run", loc="left", fontsize=9)
    axes.spines["top"].set_visible(False)
    if total["blocks"].any():
        held = axes.twinx()
        held.step(total.index, total["blocks"], where="post", color=HELD, linewidth=0.8)
        held.set_ylabel("KV blocks", color=HELD)
        held.set_ylim(bottom=0)
        held.spines["top"].set_visible(False)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), frameon=False, ncols=2)
