"""The table of what requests saw: a row a latency, a column a quantile."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ssdsim.run.report import figure
from ssdsim.run.request_metrics import LATENCIES, QUANTILES

if TYPE_CHECKING:
    from rich.table import Table

NAMES = ("time to first token", "time per output token", "inter-token latency", "end to end")
CALLED = dict(zip(LATENCIES, (*NAMES, "before admission"), strict=True))


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
