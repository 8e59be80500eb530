"""Tables in files: those of a run directory, and those that grow in a file without a name."""

import shutil
import tempfile
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from ssdsim.errors import ConfigError
from ssdsim.run.tables import RUN_ID

if TYPE_CHECKING:
    import pandas as pd

COMPRESSION = "zstd"


class Stored(ABC):
    """A table in a file: nothing of it is held, what is asked for is read."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the rows."""

    @abstractmethod
    def parts(self) -> pq.ParquetFile:
        """Open the file; who asks closes it."""

    def beginning(self, rows: int = 1) -> pa.Table:
        """Return the first row groups: as many as hold so many rows, or all."""
        with self.parts() as parts:
            groups = range(parts.num_row_groups)
            held = accumulate(parts.metadata.row_group(at).num_rows for at in groups)
            wanted = bisect_left([*held], rows) + 1
            return parts.read_row_groups([*groups[:wanted]])

    def read(self) -> pa.Table:
        """Return all of it."""
        with self.parts() as parts:
            return parts.read()

    def to_pandas(self) -> "pd.DataFrame":
        """Return all of it as a frame."""
        frame: pd.DataFrame = self.read().to_pandas()
        return frame


class NamedTable(Stored):
    """A table in a run's directory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with self.parts() as parts:
            self.schema: pa.Schema = parts.schema_arrow
            self.rows: int = parts.metadata.num_rows

    def __len__(self) -> int:
        """Return the rows."""
        return self.rows

    def parts(self) -> pq.ParquetFile:
        """Open the file; who asks closes it."""
        return pq.ParquetFile(self.path)


class StoredTable(Stored):
    """A table in a file that vanishes with it, whatever ends the process.

    It grows until it is closed; it can be read, whole or from its beginning, from then on.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self.file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the table
        self.writer = pq.ParquetWriter(self.file, schema, compression=COMPRESSION)
        self.rows = 0

    def __len__(self) -> int:
        """Return the rows so far."""
        return self.rows

    def append(self, table: pa.Table) -> None:
        """Add a row group."""
        self.writer.write_table(table, row_group_size=max(1, len(table)))
        self.rows += len(table)

    def close(self) -> None:
        """End the table."""
        self.writer.close()

    def copy_to(self, path: Path) -> None:
        """Write the file to a place with a name."""
        self.file.seek(0)
        with path.open("wb") as copy:
            shutil.copyfileobj(self.file, copy, 1 << 20)

    def parts(self) -> pq.ParquetFile:
        """Open the file once more; who asks closes it, and not the table."""
        self.file.seek(0)
        return pq.ParquetFile(self.file)


def beginning(table: pa.Table | Stored, rows: int = 1) -> pa.Table:
    """Return at least so many of a table's first rows: all of them, if they are in memory."""
    return table.beginning(rows) if isinstance(table, Stored) else table


def whole(table: pa.Table | Stored) -> pa.Table:
    """Return all of a table."""
    return table.read() if isinstance(table, Stored) else table


def write_table(table: pa.Table | StoredTable, path: Path) -> None:
    """Write a table as Parquet."""
    if isinstance(table, StoredTable):
        table.copy_to(path)
    else:
        pq.write_table(table, path, compression=COMPRESSION)


def open_table(path: Path, schema: pa.Schema, run_id: object) -> NamedTable:
    """Open a table of a run's directory, and see that it is what it should be.

    Raises
    ------
    ConfigError
        It cannot be read, lacks a column, or is another run's.

    """
    with _readable(path):
        table = NamedTable(path)
    _check_columns(path, table.schema, schema)
    signed = (table.schema.metadata or {}).get(RUN_ID.encode())
    own = None if signed is None else signed.decode(errors="replace")
    if own != run_id:
        right = f"is of the run {own}, run.json of {run_id}: files of two runs are mixed"
        raise ConfigError(f"{path}: {right}")
    return table


def read_table(table: NamedTable) -> pa.Table:
    """Read all of a table; `ConfigError` if that cannot be done."""
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
