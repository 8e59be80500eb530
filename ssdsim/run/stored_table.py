"""Tables in files: those of a run directory, and those that grow in a file without a name."""

import shutil
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

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

    def beginning(self) -> pa.Table:
        """Return the first row group."""
        with self.parts() as parts:
            return parts.read_row_group(0)

    def to_pandas(self) -> "pd.DataFrame":
        """Return all of it."""
        with self.parts() as parts:
            frame: pd.DataFrame = parts.read().to_pandas()
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


def beginning(table: pa.Table | Stored) -> pa.Table:
    """Return a table's first rows: all of them, if they are in memory."""
    return table.beginning() if isinstance(table, Stored) else table


def write_table(table: pa.Table | StoredTable, path: Path) -> None:
    """Write a table as Parquet."""
    if isinstance(table, StoredTable):
        table.copy_to(path)
    else:
        pq.write_table(table, path, compression=COMPRESSION)
