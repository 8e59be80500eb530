"""Columns of a page: the smallest numbers that hold them, compressed, as text.

`web/columns.js` reads them. The same columns make the same text.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
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


def ticks(seconds: Array) -> Array:
    """Return times as whole numbers of ticks, in floats."""
    return np.rint(np.asarray(seconds, dtype=np.float64) / TICK)


def packed_table(
    table: pa.Table, names: Mapping[str, Sequence[str]], total: int | None = None
) -> Table:
    """Return a table as a page holds it.

    Parameters
    ----------
    table
        Of numbers, truth values, texts that `names` lists, and lists of numbers.
    names
        For each column of texts all that occur: it holds their places.
    total
        Rows that there are in the run, if more than here.

    """
    columns = {name: _column(table, name, names) for name in table.column_names}
    return {"rows": len(table), "total": total or len(table), "columns": columns}


def _column(table: pa.Table, name: str, names: Mapping[str, Sequence[str]]) -> Column:
    column = table[name].combine_chunks()
    if name in TIMES:
        return times(ticks(_numbers(column)))
    if pa.types.is_list(column.type):
        return _lists(column)
    if pa.types.is_string(column.type):
        known = pa.array(names[name], pa.string())
        return integers(_numbers(pc.index_in(column, known).fill_null(ABSENT)))
    if pa.types.is_boolean(column.type):
        return integers(_numbers(column.cast(pa.int64()).fill_null(UNKNOWN)))
    if pa.types.is_floating(column.type):
        return floats(_numbers(column.fill_null(np.nan)))
    return integers(_numbers(column.fill_null(ABSENT)))


def times(counted: Array) -> Column:
    """Pack ascending ticks, or nearly ascending ones: each as what it is later than the last."""
    return _packed("times", np.diff(counted, prepend=0.0))


def durations(counted: Array) -> Column:
    """Pack ticks."""
    return _packed("ticks", counted)


def integers(values: Array) -> Column:
    """Pack whole numbers in the smallest type that holds them all."""
    least, most = (values.min(), values.max()) if len(values) else (0, 0)
    for kind, of in INTEGERS.items():
        held = np.iinfo(of)
        if held.min <= least and most <= held.max:
            return _packed(kind, values.astype(of))
    return _packed("f64", values.astype(np.float64))


def floats(values: Array) -> Column:
    """Pack numbers that are to be read, not reckoned with; NaN stands for none."""
    return _packed("f32", values.astype(np.float32))


def _lists(column: pa.ListArray) -> Column:
    lengths = _numbers(pc.list_value_length(column).fill_null(0))
    flat = column.flatten()
    if pa.types.is_floating(flat.type):
        values = floats(_numbers(flat.fill_null(np.nan)))
    else:
        values = integers(_numbers(flat.fill_null(ABSENT)))
    return {"type": "list", "lengths": integers(lengths), "values": values}


def _numbers(column: pa.Array) -> Array:
    return np.asarray(column.to_numpy(zero_copy_only=False))


def _packed(kind: str, values: Array) -> Column:
    data = compress(values.tobytes(), compresslevel=6, mtime=0)
    return {"type": kind, "data": b64encode(data).decode()}
