"""A run and its directory: three Parquet tables, `run.json` and the timeline."""

import json
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Sequence as Ordered
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from ssdsim.errors import ConfigError
from ssdsim.run.stored_table import NamedTable, Stored, StoredTable, write_table
from ssdsim.run.tables import ROUNDS, SEQUENCES, SPANS, Round, Sequence, Span, table_of
from ssdsim.run.timeline import perfetto
from ssdsim.system.atomic_files import replacing

if TYPE_CHECKING:
    import pandas as pd

    from ssdsim.run.metrics import Tally

SCHEMA = 1
RUN_ID = "run_id"
"""Where `run.json` and the metadata of every table say which run they are of."""
Tables = dict[str, Any]
"""`sequences`, `rounds` and `spans`: pyarrow tables, or what a long run has put away of them."""

SCHEMAS = {"sequences": SEQUENCES, "rounds": ROUNDS, "spans": SPANS}


@dataclass
class Recorder:
    """Collects the rows of a run while it happens; whatever it holds can be saved at any time.

    `verifies` counts the verifies begun: the number of the lock-step round for a batch's spans.
    `mismatches` counts delivered tokens that are not the target's own, where a method is lossy.
    `run_id` tells the run from all others; runs that cannot but be the same may share it.
    `gone` counts the rounds that are not held any more; `readers` are called before any goes.
    """

    sequences: list[Sequence] = field(default_factory=list)
    rounds: list[Round] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    verifies: int = 0
    mismatches: int | None = None
    run_id: str = field(default_factory=lambda: uuid4().hex)
    gone: int = 0
    readers: list[Callable[[], None]] = field(default_factory=list)

    def settle(self) -> None:
        """Take note that rounds have ended: what is final may be put away."""

    def tables(self, now: float) -> "Tables":
        """Return the three tables as of time `now`, cutting short the spans still running."""
        self.cut(now)
        return {
            "sequences": table_of(self.sequences, SEQUENCES),
            "rounds": table_of(self.rounds, ROUNDS),
            "spans": table_of(self.spans, SPANS),
        }

    def cut(self, now: float) -> None:
        """Cut short the spans still running, and drop those to come."""
        for span in self.spans:
            if span.end > now:  # noqa: PLR1730 - `min` would write to every one
                span.end = now
        self.spans = [span for span in self.spans if span.start <= now]

    def summed(self, now: float, devices: Ordered[Mapping[str, Any]]) -> "Tally":
        """Return the sums that the metrics as of time `now` are made of."""
        from ssdsim.run.columns import Rounds, Spans
        from ssdsim.run.metrics import Tally

        self.cut(now)
        sums = Tally(devices)
        sums.add(Rounds.of(self.rounds), Spans.of(self.spans))
        return sums


def _frame(table: pa.Table | Stored) -> "pd.DataFrame":
    frame: pd.DataFrame = table.to_pandas()
    return frame


@dataclass
class Run:
    """One method's run, simulated or real.

    Attributes
    ----------
    info
        What `run.json` holds: `schema`, `run_id`, `source`, `complete`, `method`, `lossless`,
        `policy`, `config`, `seed`, `created_at`, `commit`, `versions`, `machine`, `devices`,
        `metrics`, `baselines`.
        `devices` lists {"name", "lanes", "count", "busy_watts", "idle_watts"}: `count` devices
        work together under that name; the watts are for one of them, or None.
    tables
        `sequences`, `rounds` and `spans` as pyarrow tables; those of a long run may be in a file.

    """

    info: dict[str, Any]
    tables: Tables

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
        self._write(directory, self.save_timeline)

    def save_timeline(self, path: Path) -> None:
        """Write the timeline of the first spans; see `ssdsim.run.timeline`."""
        path.write_bytes(msgspec.json.encode(perfetto(self.info, self.tables["spans"])) + b"\n")

    def save_small(self, directory: Path) -> None:
        """Write the same without the timeline, which follows from the spans."""
        self._write(directory)

    def _write(self, directory: Path, timeline: Callable[[Path], None] | None = None) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        with replacing(directory) as partial:
            for name, table in self.tables.items():
                write_table(self._signed(table), partial(f"{name}.parquet"))
            if timeline is not None:
                timeline(partial("timeline.json"))
            _write_json(partial("run.json"), self.info)
            self._retire(directory / "run.json")

    def save_info(self, directory: Path) -> None:
        """Write `run.json` alone."""
        with replacing(directory) as partial:
            _write_json(partial("run.json"), self.info)

    def _signed(self, table: pa.Table | StoredTable) -> pa.Table | StoredTable:
        """Return a table that says which run it is of; one in a file was signed at its end."""
        if isinstance(table, StoredTable):
            return table
        run_id = self.info.get(RUN_ID)
        return table.replace_schema_metadata({RUN_ID: run_id} if run_id else None)

    def _retire(self, info: Path) -> None:
        """Remove another run's `run.json`: it must not vouch for tables of this one."""
        try:
            known = _read_info(info).get(RUN_ID) == self.info.get(RUN_ID)
        except ConfigError:
            known = False
        if not known:
            info.unlink(missing_ok=True)


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")


def load_run(directory: str | Path) -> Run:
    """Read a run directory.

    Raises
    ------
    ConfigError
        There is no run at `directory`, it was written by another schema, a table is not what it
        should be, or files of two runs are mixed.

    """
    opened = open_run(directory)
    return Run(opened.info, {name: _read(table) for name, table in opened.tables.items()})


def open_run(directory: str | Path) -> Run:
    """Read a run directory but for its tables, which stay in their files.

    Raises
    ------
    ConfigError
        As `load_run`.

    """
    directory = Path(directory)
    info = _read_info(directory / "run.json")
    if info.get("schema") != SCHEMA:
        raise ConfigError(f"{directory}: schema {info.get('schema')}, this version reads {SCHEMA}")
    paths = {name: directory / f"{name}.parquet" for name in SCHEMAS}
    return Run(info, {name: _open(paths[name], name, info.get(RUN_ID)) for name in SCHEMAS})


def _read_info(path: Path) -> dict[str, Any]:
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"run directory {path.parent}: not readable ({reason})") from error
    if not isinstance(info, dict):
        raise ConfigError(f"{path}: holds a {type(info).__name__}, must hold an object")
    return info


def _open(path: Path, name: str, run_id: object) -> NamedTable:
    with _readable(path):
        table = NamedTable(path)
    _check_columns(path, table.schema, SCHEMAS[name])
    signed = (table.schema.metadata or {}).get(RUN_ID.encode())
    own = None if signed is None else signed.decode(errors="replace")
    if own != run_id:
        right = f"is of the run {own}, run.json of {run_id}: files of two runs are mixed"
        raise ConfigError(f"{path}: {right}")
    return table


def _read(table: NamedTable) -> pa.Table:
    with _readable(table.path):
        return pq.read_table(table.path)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"run directory {path.parent}: not readable ({reason})") from error


def _check_columns(path: Path, found: pa.Schema, wanted: pa.Schema) -> None:
    for column in wanted:
        if column.name not in found.names:
            there = ", ".join(found.names)
            raise ConfigError(f"{path}: column {column.name!r} is missing, there are {there}")
        kind = found.field(column.name).type
        if kind != column.type:
            right = f"column {column.name!r} holds {kind}, must hold {column.type}"
            raise ConfigError(f"{path}: {right}")
