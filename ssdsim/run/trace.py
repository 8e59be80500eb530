"""A run and its directory: Parquet tables, `run.json` and the timeline."""

import json
from collections.abc import Callable, Mapping
from collections.abc import Sequence as Ordered
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import uuid4

import msgspec
import pyarrow as pa

from ssdsim.errors import ConfigError
from ssdsim.run.stored_table import Stored, StoredTable, open_table, read_table, write_table
from ssdsim.run.tables import (
    OUTCOMES,
    ROUNDS,
    RUN_ID,
    SEQUENCES,
    SPANS,
    SPECULATIONS,
    STATE,
    YOUNG,
    Round,
    Sequence,
    Span,
    table_of,
)
from ssdsim.run.timeline import perfetto
from ssdsim.system.atomic_files import replacing

if TYPE_CHECKING:
    import pandas as pd

    from ssdsim.run.metrics import Tally

SCHEMA = 1
DETAILED = "detailed_rounds"
"""Where `run.json` says how many rounds `speculations` and `outcomes` cover."""
Tables = dict[str, Any]
"""`sequences`, `rounds` and `spans`: pyarrow tables, or what a long run has put away of them.

Where a run was recorded in detail, also `speculations` and `outcomes`."""

SCHEMAS = {
    "sequences": pa.schema([column for column in SEQUENCES if column.name not in YOUNG]),
    "rounds": ROUNDS,
    "spans": SPANS,
}
"""What every run has."""
DETAILS = {"speculations": SPECULATIONS, "outcomes": OUTCOMES}
"""Of a run whose `run.json` says how many rounds it has in detail."""

REPLICAS = "replicas"
"""Where `run.json` of a run of requests says how many replicas `state` is of."""

BLOCKS = "kv_blocks"
"""Where it says how many blocks the KV cache of each has; None: there is no end to them."""

VOCABULARY = "vocabulary.json"


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

    def beside(self) -> "Recorder":
        """Return a recorder of the same lists that counts verifies of its own."""
        return Recorder(self.sequences, self.rounds, self.spans, run_id=self.run_id)

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
        self.spans[:] = [span for span in self.spans if span.start <= now]  # others write there too

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
        Of a run in detail also `speculations` and `outcomes`, of one of requests `state`.
    vocabulary
        The texts of the token ids that the tables name; None where nobody knows them.

    """

    info: dict[str, Any]
    tables: Tables
    vocabulary: dict[int, str] | None = None
    page: ClassVar[Callable[..., Any]]
    """Returns the run as a page that a notebook shows; see `ssdsim.page.notebook`.

    That room is above this one and hangs it in here: who takes `Run`, `load_run` or `simulate` from
    `ssdsim` has it.
    """

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

    @cached_property
    def speculations(self) -> "pd.DataFrame | None":
        """A row a round in detail: what it verified; None without any."""
        return self._detail("speculations")

    @cached_property
    def outcomes(self) -> "pd.DataFrame | None":
        """A row a predicted outcome of a round in detail; None without any."""
        return self._detail("outcomes")

    @cached_property
    def state(self) -> "pd.DataFrame | None":
        """Who waits and runs at which replica from when on; None where nobody noted it."""
        return self._detail("state")

    def _detail(self, name: str) -> "pd.DataFrame | None":
        return _frame(self.tables[name]) if name in self.tables else None

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
            if self.vocabulary is not None:
                _write_json(partial(VOCABULARY), self.vocabulary)
            _write_json(partial("run.json"), self.info)
            self._retire(directory)

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

    def _retire(self, directory: Path) -> None:
        """Remove another run's `run.json`: it must not vouch for tables of this one."""
        info = directory / "run.json"
        try:
            known = _read_info(info).get(RUN_ID) == self.info.get(RUN_ID)
        except ConfigError:
            known = False
        if not known:
            info.unlink(missing_ok=True)
            (directory / VOCABULARY).unlink(missing_ok=True)


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
    return replace(
        opened, tables={name: read_table(table) for name, table in opened.tables.items()}
    )


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
    schemas = {**SCHEMAS, **({} if info.get(DETAILED) is None else DETAILS)}
    schemas |= {} if info.get(REPLICAS) is None else {"state": STATE}
    tables = {
        name: open_table(directory / f"{name}.parquet", schema, info.get(RUN_ID))
        for name, schema in schemas.items()
    }
    return Run(info, tables, _read_vocabulary(directory / VOCABULARY))


def _read_info(path: Path) -> dict[str, Any]:
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"run directory {path.parent}: not readable ({reason})") from error
    if not isinstance(info, dict):
        raise ConfigError(f"{path}: holds a {type(info).__name__}, must hold an object")
    return info


def _read_vocabulary(path: Path) -> dict[int, str] | None:
    if not path.exists():
        return None
    texts = _read_info(path)
    try:
        return {int(token): str(text) for token, text in texts.items()}
    except ValueError as error:
        raise ConfigError(f"{path}: must name token ids ({error})") from error
