"""A run and its directory: three tables, `run.json` and the timeline, as DESIGN.md fixes them."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from ssdsim.errors import ConfigError
from ssdsim.outcomes import Round

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = 1

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
    }
)
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


@dataclass(slots=True)
class Span:
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


@dataclass
class Recorder:
    """Collects the rows of a run while it happens; whatever it holds can be saved at any time.

    `verifies` counts the verifies begun: the number of the lock-step round for a batch's spans.
    `mismatches` counts delivered tokens that are not the target's own, where a method is lossy.
    """

    sequences: list[Sequence] = field(default_factory=list)
    rounds: list[Round] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    verifies: int = 0
    mismatches: int | None = None

    def tables(self, now: float) -> dict[str, pa.Table]:
        """Return the three tables as of time `now`, cutting short the spans still running."""
        for span in self.spans:
            span.end = min(span.end, now)
        spans = [span for span in self.spans if span.start <= now]
        return {
            "sequences": _table(self.sequences, SEQUENCES),
            "rounds": _table(self.rounds, ROUNDS),
            "spans": _table(spans, SPANS),
        }


def _frame(table: pa.Table) -> "pd.DataFrame":
    frame: pd.DataFrame = table.to_pandas()
    return frame


def _table(rows: list[Any], schema: pa.Schema) -> pa.Table:
    columns = {
        name: pa.array([getattr(row, name) for row in rows], type=schema.field(name).type)
        for name in schema.names
    }
    return pa.table(columns, schema=schema)


@dataclass
class Run:
    """One method's run, simulated or real.

    Attributes
    ----------
    info
        What `run.json` holds: `schema`, `source`, `complete`, `method`, `lossless`, `policy`,
        `config`, `seed`, `created_at`, `commit`, `versions`, `machine`, `devices`, `metrics`,
        `baselines`.
        `devices` lists {"name", "lanes", "count", "busy_watts", "idle_watts"}: `count` devices
        work together under that name; the watts are for one of them, or None.
    tables
        `sequences`, `rounds` and `spans` as pyarrow tables.

    """

    info: dict[str, Any]
    tables: dict[str, pa.Table]

    @cached_property
    def sequences(self) -> "pd.DataFrame":
        """A row a sequence."""
        return _frame(self.tables["sequences"])

    @cached_property
    def rounds(self) -> "pd.DataFrame":
        """A row a sequence and round."""
        return _frame(self.tables["rounds"])

    @cached_property
    def spans(self) -> "pd.DataFrame":
        """A row a piece of work."""
        return _frame(self.tables["spans"])

    @property
    def metrics(self) -> dict[str, Any]:
        """The numbers of `run.json`."""
        metrics: dict[str, Any] = self.info["metrics"]
        return metrics

    def save(self, directory: Path) -> None:
        """Write the tables, the timeline and last of all `run.json`: all of them, or none."""
        from ssdsim.run.timeline import perfetto

        self._write(directory, lambda path: _write_json(path, perfetto(self), indent=None))

    def save_small(self, directory: Path) -> None:
        """Write the same without the timeline, which follows from the spans."""
        self._write(directory)

    def _write(self, directory: Path, timeline: Callable[[Path], None] | None = None) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        with _replacing(directory) as partial:
            for name, table in self.tables.items():
                pq.write_table(table, partial(f"{name}.parquet"), compression="zstd")
            if timeline is not None:
                timeline(partial("timeline.json"))
            _write_json(partial("run.json"), self.info)

    def save_info(self, directory: Path) -> None:
        """Write `run.json` alone."""
        with _replacing(directory) as partial:
            _write_json(partial("run.json"), self.info)


@contextmanager
def _replacing(directory: Path) -> Iterator[Callable[[str], Path]]:
    """Say where to write files first: all are moved to their places at the end, or none is left."""
    partials: dict[str, Path] = {}

    def partial(name: str) -> Path:
        partials[name] = directory / f".{name}.partial"
        return partials[name]

    try:
        yield partial
        for name, path in partials.items():
            path.replace(directory / name)
    finally:
        for path in partials.values():
            path.unlink(missing_ok=True)


def _write_json(path: Path, content: object, indent: int | None = 1) -> None:
    path.write_text(json.dumps(content, indent=indent, allow_nan=False) + "\n")


def load_run(directory: str | Path) -> Run:
    """Read a run directory.

    Raises
    ------
    ConfigError
        There is no run at `directory`, or it was written by another schema.

    """
    directory = Path(directory)
    try:
        info = json.loads((directory / "run.json").read_text())
        names = ("sequences", "rounds", "spans")
        tables = {name: pq.read_table(directory / f"{name}.parquet") for name in names}
    except (OSError, ValueError) as error:
        raise ConfigError(f"run directory {directory}: not readable ({error})") from error
    if info.get("schema") != SCHEMA:
        raise ConfigError(f"{directory}: schema {info.get('schema')}, this version reads {SCHEMA}")
    return Run(info, tables)
