"""Reads pages back, as web/columns.js does."""

import gzip
import json
import re
from base64 import b64decode

import numpy as np

from ssdsim.page.columns import TICK

TYPES = {"u8": "<u1", "i16": "<i2", "u16": "<u2", "i32": "<i4", "u32": "<u4", "f32": "<f4"}
PAYLOAD = re.compile(r'<script id="payload" type="application/json">(.*?)</script>', re.DOTALL)


def payload_of(page):
    """Return what a page holds."""
    (found,) = PAYLOAD.findall(page)
    return json.loads(found)


def decoded(column, data):
    """Return a column's values: an array, or for lists a list of arrays."""
    if column["type"] == "list":
        lengths, values = (decoded(column[name], data) for name in ("lengths", "values"))
        return np.split(values, np.cumsum(lengths)[:-1]) if len(lengths) else []
    kind = np.dtype(TYPES.get(column["type"], "<f8"))
    values = np.frombuffer(inflated(data), kind, column["rows"], column["at"])
    if column["type"] == "times":
        return np.cumsum(values) * TICK
    return values * TICK if column["type"] == "ticks" else values


def inflated(data):
    """Return all columns of a run, and a byte behind them, since nothing cannot be read."""
    return gzip.decompress(b64decode(data)) + bytes(1)


def columns_of(run, table, part="columns"):
    """Return the columns of a packed run's table by name."""
    found = run[table][part]
    return {name: decoded(column, run["data"]) for name, column in found.items()}
