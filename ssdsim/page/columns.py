"""Columns of a page: each in the smallest numbers that hold it, all of a run compressed as one.

`web/columns.js` reads them. The same columns make the same text.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from gzip import compress
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Array = npt.NDArray[Any]
Column = dict[str, Any]
Table = dict[str, Any]

TICK = 2.0**-32
"""Seconds that times are counted in: with a quarter of a nanosecond, sums of them are exact."""

TIMES = frozenset({"start", "end"})
ABSENT, UNKNOWN = -1, 255
"""What stands for a null among numbers, and among truth values."""

INTEGERS: dict[str, type[np.integer[Any]]] = {
    "u8": np.uint8,
    "i16": np.int16,
    "u16": np.uint16,
    "i32": np.int32,
    "u32": np.uint32,
}
"""From the smallest; all of them little-endian, as are the machines that read them."""

ALIGNED = 8
"""Bytes that columns begin at a multiple of, so that a browser reads them in place."""


def ticks(seconds: Array) -> Array:
    """Return times as whole numbers of ticks, in floats."""
    return np.rint(np.asarray(seconds, dtype=np.float64) / TICK)


@dataclass
class Columns:
    """Columns, one behind another; each is known by its type, its place and its rows."""

    parts: list[bytes] = field(default_factory=list)
    size: int = 0

    def data(self) -> str:
        """Return all of them, compressed, as text."""
        return b64encode(compress(b"".join(self.parts), compresslevel=6, mtime=0)).decode()

    def table(
        self, table: pa.Table, names: Mapping[str, Sequence[str]], total: int | None = None
    ) -> Table:
        """Add a table.

        Parameters
        ----------
        table
            Of numbers, truth values, texts that `names` lists, and lists of numbers.
        names
            For each column of texts all that occur: it holds their places.
        total
            Rows that there are in the run, if more than here.

        """
        columns = {
            name: self._column(name, table[name].combine_chunks(), names.get(name, ()))
            for name in table.column_names
        }
        return {"rows": len(table), "total": total or len(table), "columns": columns}

    def times(self, counted: Array) -> Column:
        """Add ascending ticks, or nearly ascending ones: each as what it is later than the last."""
        return self._add("times", np.diff(counted, prepend=0.0))

    def durations(self, counted: Array) -> Column:
        """Add ticks."""
        return self._add("ticks", counted)

    def integers(self, values: Array) -> Column:
        """Add whole numbers in the smallest type that holds them all."""
        least, most = (values.min(), values.max()) if len(values) else (0, 0)
        for kind, of in INTEGERS.items():
            held = np.iinfo(of)
            if held.min <= least and most <= held.max:
                return self._add(kind, values.astype(of))
        return self._add("f64", values.astype(np.float64))

    def floats(self, values: Array) -> Column:
        """Add numbers that are to be read, not reckoned with; NaN stands for none."""
        return self._add("f32", values.astype(np.float32))

    def _column(self, name: str, column: pa.Array, names: Sequence[str]) -> Column:
        if name in TIMES:
            return self.times(ticks(_numbers(column)))
        if pa.types.is_list(column.type):
            lengths = _numbers(pc.list_value_length(column).fill_null(0))
            values = self._column("", column.flatten(), ())
            return {"type": "list", "lengths": self.integers(lengths), "values": values}
        if pa.types.is_floating(column.type):
            return self.floats(_numbers(column.fill_null(np.nan)))
        if pa.types.is_string(column.type):
            column = pc.index_in(column, pa.array(names, pa.string()))
        elif pa.types.is_boolean(column.type):
            column = column.cast(pa.int64()).fill_null(UNKNOWN)
        return self.integers(_numbers(column.fill_null(ABSENT)))

    def _add(self, kind: str, values: Array) -> Column:
        packed = values.tobytes()
        column = {"type": kind, "at": self.size, "rows": len(values)}
        self.parts.append(packed + bytes(-len(packed) % ALIGNED))
        self.size += len(self.parts[-1])
        return column


def _numbers(column: pa.Array) -> Array:
    return np.asarray(column.to_numpy(zero_copy_only=False))
