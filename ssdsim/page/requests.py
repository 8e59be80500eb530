"""What a page holds of requests: when each came and went, and who waited and ran at which replica.

Only runs of requests have these tables. Both cover the whole run, also where its passes are cut.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ssdsim.page.columns import Array, Column, Columns, Table, ticks
from ssdsim.run.tables import STATE

MOST_CHANGES = 40_000
"""Rows of the state of a run in a page; of more changes, stretches of time are shown."""

TIMES = ("admitted", "first_token", "finish")
NUMBERS = ("seq", "prompt_tokens", "tokens", "preempted", "replica")
INTERRUPTIONS = ("preempted_at", "resumed_at")
COUNTS = ("waiting", "running", "blocks")


def requests(sequences: pa.Table, most: int, columns: Columns) -> Table:
    """Add the requests in order of arrival, `most` of them at most.

    A time that did not come, as the run was cut short, is NaN.
    """
    order = np.argsort(_floats(sequences["arrival"]), kind="stable")[:most]
    shown = sequences.take(order)
    told = [name for name in NUMBERS if name in shown.column_names]
    packed = {
        "arrival": columns.times(ticks(_floats(shown["arrival"]))),
        **{name: columns.durations(ticks(_floats(shown[name]))) for name in TIMES},
        **{name: columns.integers(_floats(shown[name])) for name in told},
        **{
            name: _instants(shown[name].combine_chunks(), columns)
            for name in INTERRUPTIONS
            if name in shown.column_names
        },
    }
    return {"rows": len(shown), "total": len(sequences), "columns": packed}


def state(table: pa.Table, columns: Columns) -> Table:
    """Add who waits and runs from when on, and the KV blocks that these hold.

    Where there are too many changes for a page, the table has stretches of equal time instead,
    each with the largest counts within it; `stretch` says how many seconds these last.
    """
    stretch = None
    shown: Mapping[str, Array] = {name: table[name].to_numpy() for name in STATE.names}
    if len(table) > MOST_CHANGES:
        stretches = MOST_CHANGES // len(np.unique(shown["replica"]))
        edges = np.linspace(0.0, shown["time"][-1], stretches + 1)
        stretch, shown = float(edges[1]), largest(shown, edges[:-1])
    packed = {name: columns.integers(shown[name]) for name in ("replica", *COUNTS)}
    packed["time"] = columns.times(ticks(shown["time"]))
    rows = len(shown["time"])
    return {"rows": rows, "total": len(table), "stretch": stretch, "columns": packed}


def largest(changes: Mapping[str, Array], edges: Array) -> dict[str, Array]:
    """Return the largest counts of each replica in the stretches of time that begin at `edges`.

    Parameters
    ----------
    changes
        The columns of `ssdsim.run.tables.STATE`, in order of time.
    edges
        When stretches begin, in order; the last one goes on to the end.

    """
    found = [
        _largest(changes, replica, edges) for replica in np.unique(changes["replica"]).tolist()
    ]
    order = np.argsort(np.tile(edges, len(found)), kind="stable")
    return {name: np.concatenate([part[name] for part in found])[order] for name in STATE.names}


def _largest(changes: Mapping[str, Array], replica: int, edges: Array) -> dict[str, Array]:
    own = changes["replica"] == replica
    before = np.searchsorted(changes["time"][own], edges, side="right")
    after = np.append(before[1:], own.sum())
    stretches = {"time": edges, "replica": np.full(len(edges), replica)}
    for name in COUNTS:
        counts = np.append(0, changes[name][own])  # nobody is there before the first change
        stretches[name] = np.maximum(np.maximum.reduceat(counts, before), counts[after])
    return stretches


def _instants(column: pa.Array, columns: Columns) -> Column:
    """Add a column of lists of times."""
    lengths = _floats(pc.list_value_length(column).fill_null(0))
    return {
        "type": "list",
        "lengths": columns.integers(lengths),
        "values": columns.durations(ticks(_floats(column.flatten()))),
    }


def _floats(column: pa.Array | pa.ChunkedArray) -> Array:
    """Return numbers in floats; NaN stands for a null."""
    found: Array = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return found


def cut(packed: Mapping[str, Any]) -> Sequence[str]:
    """Say what of them a page does not show."""
    requests, state = packed["requests"], packed["state"]
    said = []
    if requests and requests["rows"] < requests["total"]:
        said.append(f"Shown are the first {requests['rows']:,} of {requests['total']:,} requests.")
    if state and state["stretch"]:
        said.append(
            f"Queues and KV blocks changed {state['total']:,} times: of every "
            f"{state['stretch']:.3g} s the largest counts are shown."
        )
    return said
