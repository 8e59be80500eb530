"""The Perfetto timeline: a process a device, a thread a lane, arrows from outcome to speculation.

The file opens at https://ui.perfetto.dev or in chrome://tracing.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from ssdsim.run.columns import Floats
from ssdsim.run.stored_table import Stored, beginning

LIMIT = 20_000
ARGUMENTS = ("round", "batch", "branches", "tokens", "used")
NAMES = ("seqs", *ARGUMENTS)

Event = dict[str, Any]


def perfetto(info: Mapping[str, Any], spans: pa.Table | Stored) -> dict[str, Any]:
    """Return a run's first spans as Chrome trace-event JSON (times in µs).

    An arrow leads from the end of each verify, where its outcome is known, to the speculation
    that this outcome chose: to the draft span that begins after it, or, if the speculation lay
    ready, straight to the next verify.
    """
    first, total = _First(spans), len(spans)
    events = [*_names(first.threads), *_slices(first), *_arrows(first)]
    return {
        "traceEvents": events,
        "displayTimeUnit": "ms",
        "otherData": {
            "method": info.get("method"),
            "policy": info.get("policy"),
            "spans": f"the first {len(first)} of {total}" if len(first) < total else f"all {total}",
        },
    }


class _First:
    """The first spans of a run, a list a column, in the order in which they begin."""

    def __init__(self, spans: pa.Table | Stored) -> None:
        table = beginning(spans)
        self.table = table.take(np.argsort(table["start"].to_numpy(), kind="stable")[:LIMIT])
        self.kind: list[str] = self.table["kind"].to_pylist()
        self.starts, self.ends = (self.table[name].to_numpy() for name in ("start", "end"))

    def __len__(self) -> int:
        return len(self.table)

    @cached_property
    def seqs(self) -> list[list[int]]:
        """The sequences of each."""
        seq, seqs = (self.table[name].to_pylist() for name in ("seq", "seqs"))
        return [several or [one] for several, one in zip(seqs, seq, strict=True)]

    @cached_property
    def threads(self) -> dict[tuple[str, str], Event]:
        """A process a device and a thread a lane; targets first, they set the rounds."""
        lanes = sorted(set(self.places), key=target_first)
        devices = list(dict.fromkeys(device for device, _ in lanes))
        return {
            (device, lane): {"pid": devices.index(device) + 1, "tid": number}
            for number, (device, lane) in enumerate(lanes, start=1)
        }

    @cached_property
    def places(self) -> list[tuple[str, str]]:
        """Device and lane of each."""
        device, lane = (self.table[name].to_pylist() for name in ("device", "lane"))
        return list(zip(device, lane, strict=True))

    @cached_property
    def microseconds(self) -> tuple[list[float], list[float]]:
        """Start and end of each."""
        start, end = (np.round(times * 1e6, 3).tolist() for times in (self.starts, self.ends))
        return start, end


def target_first(thread: tuple[str, str]) -> tuple[bool, str, str]:
    """Return what sorts pairs of device and lane: targets come first, they set the rounds."""
    device, lane = thread
    return not lane.startswith("target"), lane, device


def _names(threads: dict[tuple[str, str], Event]) -> Iterator[Event]:
    for (device, lane), thread in threads.items():
        order = {"sort_index": thread["tid"]}
        yield {"ph": "M", "name": "process_name", "args": {"name": device}, **thread}
        yield {"ph": "M", "name": "thread_name", "args": {"name": lane}, **thread}
        yield {"ph": "M", "name": "thread_sort_index", "args": order, **thread}


def _slices(spans: _First) -> Iterator[Event]:
    start, end = spans.microseconds
    last = np.round(np.subtract(end, start), 3).tolist()
    given = (spans.table[name].to_pylist() for name in ARGUMENTS)
    columns = spans.kind, spans.places, start, last, zip(spans.seqs, *given, strict=True)
    for kind, place, ts, dur, arguments in zip(*columns, strict=True):
        args = dict(zip(NAMES, arguments, strict=True))
        yield {"ph": "X", "name": kind, "ts": ts, "dur": dur, "args": args, **spans.threads[place]}


def _arrows(spans: _First) -> Iterator[Event]:
    start, end = spans.microseconds
    chosen_after = choices(spans.kind, spans.seqs, spans.starts, spans.ends)
    for number, (verify, chosen) in enumerate(chosen_after):
        arrow = {"name": "outcome", "cat": "outcome", "id": number}
        # An arrow leaves the slice that encloses its time, and a slice does not enclose its end.
        leaves = max(start[verify], round(end[verify] - 0.001, 3))
        source, goal = (spans.threads[spans.places[at]] for at in (verify, chosen))
        yield {"ph": "s", "ts": leaves, **arrow, **source}
        yield {"ph": "f", "bp": "e", "ts": start[chosen], **arrow, **goal}


def choices(
    kinds: Sequence[str], seqs: Sequence[Sequence[int]], starts: Floats, ends: Floats
) -> Iterator[tuple[int, int]]:
    """Pair each verify with whatever, after it, first drafts for or verifies one of its rows.

    Parameters
    ----------
    kinds, seqs, starts, ends
        Of spans in the order in which they begin.

    """
    if not any(kind.endswith("speculate") for kind in set(kinds)):
        return
    start, end = starts.tolist(), ends.tolist()
    last: dict[int, int] = {}
    for at, (kind, rows) in enumerate(zip(kinds, seqs, strict=True)):
        if kind in {"speculate", "verify"}:
            over = [row for row in rows if row in last and end[last[row]] <= start[at]]
            for verify in dict.fromkeys(last.pop(row) for row in over):
                yield verify, at
        if kind == "verify":
            last |= dict.fromkeys(rows, at)
