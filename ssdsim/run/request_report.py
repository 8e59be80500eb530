"""The table of what requests saw: means and quantiles of latencies, a column a method."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ssdsim.run.report import figure
from ssdsim.run.thinned import QUANTILES

if TYPE_CHECKING:
    from rich.table import Table

CALLED = {
    "ttft": "time to first token",
    "tpot": "time per output token",
    "itl": "inter-token latency",
    "e2e": "end to end",
    "queueing": "before admission",
}


def latencies(metrics: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what each latency of requests is called, and its value; none of a run without any."""
    for latency, called in CALLED.items() if "ttft_mean" in metrics else ():
        yield f"{called}, ms", figure(metrics, f"{latency}_mean", 1000)
        quantiles = (figure(metrics, f"{latency}_{of}", 1000) for of in QUANTILES)
        yield f"  {', '.join(QUANTILES)}", ", ".join(quantiles)


def request_table(rows: Sequence[tuple[str, Mapping[str, Any]]]) -> "Table":
    """Return latencies of requests in milliseconds: means with 95 % half-widths, and quantiles.

    `rows` are as in `ssdsim.run.report.comparison`.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("of a request, ms")
    for label, _ in rows:
        table.add_column(label, justify="right")
    for latency, called in CALLED.items():
        for of in ("mean", *QUANTILES):
            cells = [figure(metrics, f"{latency}_{of}", 1000) for _, metrics in rows]
            name = called if of == "mean" else f"  {of}"
            table.add_row(name, *cells, end_section=of == [*QUANTILES][-1])
    return table
