"""The tables that a load prints."""

from typing import TYPE_CHECKING

from ssdsim.load.curves import Curve, Load

if TYPE_CHECKING:
    from rich.table import Table

ABSENT = "–"


def tables(found: Load, latency: str) -> "list[Table]":
    """Return the tables that are printed."""
    shown = [capacity_table(found, latency), best_table(found, latency)]
    return [*shown, refused_table(found)] if found.refused else shown


def capacity_table(found: Load, latency: str) -> "Table":
    """Return a table of what each configuration can do."""
    table = _table("what each configuration can do")
    table.add_column("configuration", overflow="fold", ratio=1)
    low = found.rates[0]
    headings = ("requests/s\nat most", "within\nlimits", f"{latency}, s,\nat {low:g}/s", "tokens/s")
    for heading in (*headings, "per\ndevice"):
        table.add_column(heading, justify="right", no_wrap=True)
    for curve in sorted(found.curves, key=lambda one: -(one.within or one.capacity)):
        top = curve.by_rate[found.rates[-1]]
        table.add_row(
            curve.name,
            f"{curve.capacity:.3g}",
            _within(curve, found.rates[-1]),
            _seconds(curve.by_rate[low][latency]),
            _number(top["output_tokens_per_s"]),
            _number(top["output_tokens_per_s_per_device"]),
        )
    table.caption = f"tokens/s at {found.rates[-1]:g} requests/s, the highest rate looked at"
    return table


def best_table(found: Load, latency: str) -> "Table":
    """Return a table of the best configuration at every rate, of each method and of all."""
    table = _table(f"the best by load: {latency} in seconds")
    table.add_column("requests/s", justify="right")
    for method in found.methods:
        table.add_column(method, justify="right", overflow="fold")
    for rate in found.rates:
        best = found.best(rate, latency)
        own = [found.best(rate, latency, method) for method in found.methods]
        cells = [_cell(curve, rate, latency) for curve in own]
        table.add_row(
            f"{rate:g}",
            *(
                f"[bold]{cell}[/bold]" if best and method == best.method else cell
                for method, cell in zip(found.methods, cells, strict=True)
            ),
        )
    return table


def refused_table(found: Load) -> "Table":
    """Return a table of the configurations that cannot be."""
    table = _table("left out")
    table.add_column("configuration", overflow="fold")
    table.add_column("why", overflow="fold", ratio=1)
    for words, why in found.refused.items():
        table.add_row(" ".join(words), why)
    return table


def _cell(curve: Curve | None, rate: float, latency: str) -> str:
    """Return what sets the best configuration of a method apart, and its latency."""
    if curve is None:
        return ABSENT
    own = " ".join(word for word in curve.words if not word.startswith("method="))
    seconds = _seconds(curve.by_rate[rate][latency])
    return f"{own} {seconds}" if own and own != curve.method else seconds


def _within(curve: Curve, highest: float) -> str:
    """Return the largest rate within limits; of the highest one looked at no more is known."""
    if curve.within is None:
        return ABSENT
    return f"{'≥ ' if curve.within == highest else ''}{curve.within:.3g}"


def _table(title: str) -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    return Table(title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0), title_justify="left")


def _seconds(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.3g}"


def _number(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.1f}"
