"""A picture of a run's first rounds: who works when, what was hit, what was wasted."""

from pathlib import Path
from typing import TYPE_CHECKING

from ssdsim.run.state_picture import draw_state
from ssdsim.run.stored_table import beginning
from ssdsim.run.trace import Run

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.patches import Patch

KINDS = {
    "verify": "#4c78a8",
    "speculate": "#f08c2e",
    "prespeculate": "#9467bd",
    "prefill": "#8c8c8c",
    "transfer": "#8c6d31",
    "search": "#17becf",
    "wait": "#e8e8e8",
}
OUTCOMES = {"hit": "#7cc674", "miss": "#ee7f80", "nothing predicted": "#d0d0d0"}
DRAFTING = ("speculate", "prespeculate")
MARKS = {"hit": "✓ ", "miss": "✗ ", "nothing predicted": ""}
NOTE = "on a sequence: tokens delivered; on a verify: their sum; on a draft: tokens used / drafted"
MOST_SEQUENCES = 8
UNKNOWN = "#bcbd22"
HEIGHT = 0.8
STATE_HEIGHT = 2.2
PALE = 0.3
# A label needs this share of the axis, and a bar this one: a lane of thinner ones looks empty.
ROOM = 0.022
SEEN = 0.001


def timeline_picture(run: Run, path: Path, rounds: int = 8) -> None:
    """Write the timeline of the first steps of decoding as a PNG.

    The upper rows show the rounds of up to 8 sequences, coloured by hit and miss, with the tokens
    that each delivered; below them every lane shows its work. Of a draft's bar the solid share is
    what the output used. Of a run of requests, the queues and the KV cache over the whole of it
    stand below.

    Parameters
    ----------
    run
        A run of any method. Without rounds (it was cut short) its spans are drawn alone.
    path
        The PNG to write.
    rounds
        Steps to show; the rows of a batch share a step.

    """
    from matplotlib.figure import Figure

    told, spans, unit = _beginning(run, rounds)
    sequences = list(told["seq"].unique()[:MOST_SEQUENCES])
    lanes = sorted(spans["lane"].unique(), key=_target_first)
    height = 2.2 + 0.3 * len(sequences) + 0.5 * len(lanes)
    below = [] if run.state is None else [STATE_HEIGHT]
    figure = Figure(figsize=(12, height + sum(below)), dpi=110, layout="constrained")
    axes, *more = figure.subplots(
        1 + len(below), height_ratios=[height, *below], squeeze=False
    ).ravel()
    for other in more:
        draw_state(other, run)
    _frame(axes, [*(f"sequence {seq}" for seq in sequences), *lanes], told, unit)
    for row, seq in enumerate(sequences):
        _draw_rounds(axes, row, told[told["seq"] == seq])
    for row, lane in enumerate(lanes, start=len(sequences)):
        _draw_lane(axes, row, spans[spans["lane"] == lane])
    axes.set_title(_title(run, told), loc="left")
    handles = _legend(told, spans[spans["end"] > axes.get_xlim()[0]])
    legend = figure.legend(handles=handles, loc="outside lower center", ncols=6, frameon=False)
    legend.set_title(NOTE)
    figure.savefig(path, format="png")


def _beginning(run: Run, steps: int) -> tuple["pd.DataFrame", "pd.DataFrame", str]:
    """Return the rounds and spans of the first steps and their unit of time.

    That is ms, unless a round lasts over half a second: then times are slow or, as in theory,
    in units of a target pass.
    """
    rounds, spans = (beginning(run.tables[name]).to_pandas() for name in ("rounds", "spans"))
    ends = rounds["end"].drop_duplicates().nsmallest(steps)
    last = ends.max() if len(ends) else spans["end"].max()
    first = rounds["start"].min() if len(rounds) else 0.0
    seen = (spans["start"] < last) & (spans["end"] - spans["start"] > SEEN * (last - first))
    rounds, spans = rounds[rounds["end"] <= last], spans[seen]
    slow = (rounds["end"] - rounds["start"]).mean() > 0.5
    outcome = rounds["hit"].map({True: "hit", False: "miss"}).fillna("nothing predicted")
    return (
        _scaled(rounds, slow).assign(outcome=outcome.astype(str)),
        _scaled(spans, slow),
        "s" if slow else "ms",
    )


def _scaled(table: "pd.DataFrame", slow: bool) -> "pd.DataFrame":
    factor = 1 if slow else 1000
    start, end = factor * table["start"], factor * table["end"]
    return table.assign(start=start, end=end, width=end - start, middle=(start + end) / 2)


def _target_first(lane: str) -> tuple[int, str]:
    order = ("target", "draft")
    return next((at for at, party in enumerate(order) if lane.startswith(party)), 2), lane


def _frame(axes: "Axes", names: list[str], rounds: "pd.DataFrame", unit: str) -> None:
    """Name the rows, and limit the axis to the decoding of the rounds shown."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlabel(f"time since the run's start, {unit}")
    axes.ticklabel_format(axis="x", style="plain", useOffset=False)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    if len(rounds):
        axes.set_xlim(rounds["start"].min(), rounds["end"].max())
        for end in rounds["end"].unique():
            axes.axvline(end, color="#999999", linewidth=0.6, linestyle=":", zorder=0)


def _draw_rounds(axes: "Axes", row: int, rounds: "pd.DataFrame") -> None:
    colours = rounds["outcome"].map(OUTCOMES)
    axes.barh(row, rounds["width"], HEIGHT, rounds["start"], color=colours, edgecolor="white")
    texts = rounds["outcome"].map(MARKS) + (rounds["accepted"] + 1).astype(str)
    _write(axes, row, rounds.assign(text=texts), "black")


def _draw_lane(axes: "Axes", row: int, spans: "pd.DataFrame") -> None:
    """Draw a lane's work; a draft's bars are pale but for the share that the output used."""
    drafting = spans["kind"].isin(DRAFTING)
    used = (spans["used"] / spans["tokens"].clip(lower=1)).where(drafting, 1.0)
    colours = spans["kind"].map(KINDS).fillna(UNKNOWN)
    width, left = spans["width"], spans["start"]
    axes.barh(row, width, HEIGHT, left, color=colours, alpha=PALE)
    # Rows are numbered downwards, so the used share stands on the bar's lower edge.
    axes.barh(row + HEIGHT / 2 * (1 - used), width, HEIGHT * used, left, color=colours)
    axes.barh(row, width, HEIGHT, left, color="none", edgecolor="white", linewidth=0.8)
    delivered = "+" + spans["used"].astype(str)
    shares = spans["used"].astype(str) + "/" + spans["tokens"].astype(str)
    _write(axes, row, spans.assign(text=shares)[drafting], "black")
    _write(axes, row, spans.assign(text=delivered)[spans["kind"] == "verify"], "white")


def _write(axes: "Axes", row: int, bars: "pd.DataFrame", colour: str) -> None:
    """Write on every bar that has room for it."""
    left, right = axes.get_xlim()
    roomy = bars[bars["width"] > ROOM * (right - left)]
    for middle, text in zip(roomy["middle"], roomy["text"], strict=True):
        axes.text(middle, row, text, ha="center", va="center", size=8, color=colour, clip_on=True)


def _title(run: Run, rounds: "pd.DataFrame") -> str:
    named = [str(run.info[name]) for name in ("method", "policy") if run.info.get(name)]
    count = rounds["end"].nunique()
    shown = f"the first {count} rounds" if count else "no rounds"
    hidden = rounds["seq"].nunique() - MOST_SEQUENCES
    more = f" ({hidden} more sequences not shown)" if hidden > 0 else ""
    return f"{' with '.join(named) or 'run'}: {shown}{more}"


def _legend(rounds: "pd.DataFrame", spans: "pd.DataFrame") -> list["Patch"]:
    """Explain the colours that occur."""
    from matplotlib.patches import Patch

    outcomes = [name for name in OUTCOMES if (rounds["outcome"] == name).any()]
    kinds = [kind for kind in KINDS if (spans["kind"] == kind).any()]
    drafts = [kind for kind in kinds if kind in DRAFTING][-1:]
    return [
        *(Patch(color=OUTCOMES[name], label=name) for name in outcomes),
        *(Patch(color=KINDS[kind], label=kind) for kind in kinds),
        *(Patch(color=KINDS[kind], alpha=PALE, label="pale: drafted in vain") for kind in drafts),
    ]
