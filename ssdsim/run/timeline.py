"""The Perfetto timeline: a process a device, a thread a lane, arrows from outcome to speculation.

The file opens at https://ui.perfetto.dev or in chrome://tracing.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from ssdsim.run.stored_table import StoredTable, beginning

LIMIT = 20_000
ARGUMENTS = ("round", "batch", "branches", "tokens", "used")

Event = dict[str, Any]


def perfetto(info: Mapping[str, Any], spans: pa.Table | StoredTable) -> dict[str, Any]:
    """Return a run's first spans as Chrome trace-event JSON (times in µs).

    An arrow leads from the end of each verify, where its outcome is known, to the speculation
    that this outcome chose: to the draft span that begins after it, or, if the speculation lay
    ready, straight to the next verify.
    """
    first, total = _first(spans), len(spans)
    threads = _threads(first)
    events = [*_names(threads), *_slices(first, threads), *_arrows(first, threads)]
    return {
        "traceEvents": events,
        "displayTimeUnit": "ms",
        "otherData": {
            "method": info.get("method"),
            "policy": info.get("policy"),
            "spans": f"the first {len(first)} of {total}" if len(first) < total else f"all {total}",
        },
    }


def _first(spans: pa.Table | StoredTable) -> list[dict[str, Any]]:
    table = beginning(spans)
    order = np.argsort(table["start"].to_numpy(), kind="stable")
    rows: list[dict[str, Any]] = table.take(order[:LIMIT]).to_pylist()
    return rows


def _threads(spans: list[dict[str, Any]]) -> dict[tuple[str, str], Event]:
    """Give each device a process and each lane a thread; targets first, they set the rounds."""
    lanes = sorted({(span["device"], span["lane"]) for span in spans}, key=_target_first)
    devices = list(dict.fromkeys(device for device, _ in lanes))
    return {
        (device, lane): {"pid": devices.index(device) + 1, "tid": number}
        for number, (device, lane) in enumerate(lanes, start=1)
    }


def _target_first(thread: tuple[str, str]) -> tuple[bool, str, str]:
    device, lane = thread
    return not lane.startswith("target"), lane, device


def _names(threads: dict[tuple[str, str], Event]) -> Iterator[Event]:
    for (device, lane), thread in threads.items():
        order = {"sort_index": thread["tid"]}
        yield {"ph": "M", "name": "process_name", "args": {"name": device}, **thread}
        yield {"ph": "M", "name": "thread_name", "args": {"name": lane}, **thread}
        yield {"ph": "M", "name": "thread_sort_index", "args": order, **thread}


def _slices(spans: list[dict[str, Any]], threads: dict[tuple[str, str], Event]) -> Iterator[Event]:
    for span in spans:
        start, end = _microseconds(span["start"]), _microseconds(span["end"])
        arguments = {"seqs": _rows(span), **{name: span[name] for name in ARGUMENTS}}
        thread = threads[span["device"], span["lane"]]
        times = {"ts": start, "dur": round(end - start, 3)}
        yield {"ph": "X", "name": span["kind"], **times, **thread, "args": arguments}


def _arrows(spans: list[dict[str, Any]], threads: dict[tuple[str, str], Event]) -> Iterator[Event]:
    for number, (verify, chosen) in enumerate(_choices(spans)):
        arrow = {"name": "outcome", "cat": "outcome", "id": number}
        # An arrow leaves the slice that encloses its time, and a slice does not enclose its end.
        leaves = max(_microseconds(verify["start"]), round(_microseconds(verify["end"]) - 0.001, 3))
        source, goal = (threads[span["device"], span["lane"]] for span in (verify, chosen))
        yield {"ph": "s", "ts": leaves, **arrow, **source}
        yield {"ph": "f", "bp": "e", "ts": _microseconds(chosen["start"]), **arrow, **goal}


def _choices(spans: list[dict[str, Any]]) -> Iterator[tuple[Event, Event]]:
    """Pair each verify with whatever, after it, first drafts for or verifies one of its rows."""
    if not any(span["kind"].endswith("speculate") for span in spans):
        return
    last: dict[int, Event] = {}
    for span in spans:
        if span["kind"] in {"speculate", "verify"}:
            known = [row for row in _rows(span) if row in last]
            before = [last.pop(row) for row in known if last[row]["end"] <= span["start"]]
            for verify in {id(verify): verify for verify in before}.values():
                yield verify, span
        if span["kind"] == "verify":
            last |= dict.fromkeys(_rows(span), span)


def _rows(span: dict[str, Any]) -> list[int]:
    return span["seqs"] or [span["seq"]]


def _microseconds(seconds: float) -> float:
    return round(seconds * 1e6, 3)
