"""The table of what requests saw: a row a latency, a column a quantile."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ssdsim.run.metrics import QUANTILES
from ssdsim.run.report import figure

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


def request_table(metrics: Mapping[str, Any]) -> "Table":
    """Return the latencies of a run's requests in milliseconds; of means the 95 % half-widths."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("of a request, ms")
    for name in ("mean", *QUANTILES):
        table.add_column(name, justify="right")
    for latency, called in CALLED.items():
        cells = (figure(metrics, f"{latency}_{of}", 1000) for of in ("mean", *QUANTILES))
        table.add_row(called, *cells)
    return table
