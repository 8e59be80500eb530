"""The tables of a run: their columns, and a row of each.

Rounds and spans are made in every round and kept by the thousand, so they are structs of a C
library that the garbage collector does not look through: nothing in them leads back to them.
"""

from collections.abc import Sequence as Ordered
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, NamedTuple

import pyarrow as pa
from msgspec import Struct

from ssdsim.outcomes import Speculator

RUN_ID = "run_id"
"""Where `run.json` and the metadata of every table say which run they are of."""

SEQUENCES = pa.schema(
    {
        "seq": pa.int64(),
        "prompt": pa.string(),
        "kind": pa.string(),
        "prompt_tokens": pa.int64(),
        "output": pa.list_(pa.int64()),
        "tokens": pa.int64(),
        "arrival": pa.float64(),
        "admitted": pa.float64(),
        "first_token": pa.float64(),
        "finish": pa.float64(),
        "reason": pa.string(),
        "preempted": pa.int64(),
        "replica": pa.int64(),
        "preempted_at": pa.list_(pa.float64()),
        "resumed_at": pa.list_(pa.float64()),
        "cached_tokens": pa.int64(),
    }
)
YOUNG = frozenset({"preempted", "replica", "preempted_at", "resumed_at", "cached_tokens"})
"""Columns of sequences that older runs do not have."""
ROUNDS = pa.schema(
    {
        "seq": pa.int64(),
        "round": pa.int64(),
        "drafted": pa.int64(),
        "speculator": pa.string(),
        "hit": pa.bool_(),
        "accepted": pa.int64(),
        "token": pa.int64(),
        "predicted": pa.int64(),
        "rank": pa.int64(),
        "start": pa.float64(),
        "end": pa.float64(),
    }
)
SPANS = pa.schema(
    {
        "lane": pa.string(),
        "device": pa.string(),
        "kind": pa.string(),
        "seq": pa.int64(),
        "seqs": pa.list_(pa.int64()),
        "round": pa.int64(),
        "start": pa.float64(),
        "end": pa.float64(),
        "batch": pa.int64(),
        "branches": pa.int64(),
        "tokens": pa.int64(),
        "used": pa.int64(),
    }
)
STATE = pa.schema(
    {
        "time": pa.float64(),
        "replica": pa.int64(),
        "waiting": pa.int64(),
        "running": pa.int64(),
        "blocks": pa.int64(),
    }
)
SPECULATIONS = pa.schema(
    {
        "seq": pa.int64(),
        "round": pa.int64(),
        "speculator": pa.string(),
        "parents": pa.list_(pa.int64()),
        "tokens": pa.list_(pa.int64()),
        "confidences": pa.list_(pa.float64()),
        "node": pa.int64(),
        "rank": pa.int64(),
    }
)
OUTCOMES = pa.schema(
    {
        "seq": pa.int64(),
        "round": pa.int64(),
        "node": pa.int64(),
        "rank": pa.int64(),
        "token": pa.int64(),
        "chance": pa.float64(),
        "drafted": pa.int64(),
        "finished": pa.bool_(),
        "won": pa.bool_(),
        "continuation": pa.list_(pa.int64()),
    }
)


class Round(Struct, gc=False):
    """One verify of one sequence: a row of `rounds.parquet` (times in seconds from the start).

    `start` is when the sequence had nothing in flight (its last round's end, or its admission),
    `end` when the verify's outcome was known. `hit` is None where nothing had been predicted.
    `accepted` + 1 tokens were delivered.
    """

    seq: int
    round: int
    drafted: int
    speculator: Speculator
    hit: bool | None
    accepted: int
    token: int | None
    predicted: int
    rank: int
    start: float
    end: float


class Span(Struct, gc=False):
    """A piece of work on a lane: a row of `spans.parquet`. It stays open while it runs.

    `tokens` were computed in it, `used` of them reached the output (known only after the verify
    that follows). `seq` is -1 for a batch; `seqs` then lists the rows.
    """

    lane: str
    device: str
    kind: str
    seq: int
    seqs: list[int] | None
    round: int
    start: float
    end: float
    batch: int
    branches: int = 0
    tokens: int = 0
    used: int = 0


@dataclass(slots=True)
class Sequence:
    """One prompt and its output: a row of `sequences.parquet`. Times in seconds."""

    seq: int
    prompt: str
    kind: str
    prompt_tokens: int
    output: list[int] | None
    tokens: int
    arrival: float
    admitted: float | None = None
    first_token: float | None = None
    finish: float | None = None
    reason: str | None = None
    preempted: int = 0
    replica: int = 0
    preempted_at: list[float] = field(default_factory=list)
    resumed_at: list[float] = field(default_factory=list)
    cached_tokens: int | None = None


class Verified(NamedTuple):
    """What a round verified, and how that ended: a row of `speculations.parquet`.

    `tokens` and `confidences` are None where nobody knows them, `node` and `rank` (of the verify's
    outcome, as in `ssdsim.outcomes.Outcome`) where what ended the round was no verify of a draft.
    """

    seq: int
    round: int
    speculator: Speculator
    parents: Ordered[int]
    tokens: Ordered[int] | None
    confidences: Ordered[float] | None
    node: int | None
    rank: int | None


def table_of(rows: Ordered[Any], schema: pa.Schema) -> pa.Table:
    """Return a table of objects that have an attribute a column."""
    columns = (
        zip(*map(attrgetter(*schema.names), rows), strict=True) if rows else [()] * len(schema)
    )
    arrays = [pa.array(column, of.type) for column, of in zip(columns, schema, strict=True)]
    return pa.table(arrays, schema=schema)
