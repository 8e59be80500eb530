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


def decoded(column):
    """Return a column's values: an array, or for lists a list of arrays."""
    if column["type"] == "list":
        lengths, values = decoded(column["lengths"]), decoded(column["values"])
        return np.split(values, np.cumsum(lengths)[:-1]) if len(lengths) else []
    data = gzip.decompress(b64decode(column["data"]))
    values = np.frombuffer(data, TYPES.get(column["type"], "<f8"))
    if column["type"] == "times":
        return np.cumsum(values) * TICK
    return values * TICK if column["type"] == "ticks" else values


def columns_of(table):
    """Return the columns of a table by name."""
    return {name: decoded(column) for name, column in table["columns"].items()}
