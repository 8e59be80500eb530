"""Opens files that may be packed, and says in which encoding their text is."""

import bz2
import gzip
import lzma
import zlib
from pathlib import Path
from typing import IO, Any

from ssdsim.errors import ConfigError

PACKED = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
"""By how they begin."""
OTHERS = {b"PK\x03\x04": "zip", b"\x28\xb5\x2f\xfd": "zstd", b"7z\xbc\xaf": "7z"}
"""Packed in ways that are not read."""
FAULTS = (OSError, EOFError, zlib.error, lzma.LZMAError)
"""What reading a file may raise."""
MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}
HEAD = 6


def unpacked(path: Path, option: str) -> IO[bytes]:
    """Open a file for its bytes.

    Raises
    ------
    ConfigError
        It is packed in a way that is not read.

    """
    with path.open("rb") as file:
        start = file.read(HEAD)
    if kind := _of(start, OTHERS):
        raise ConfigError(f"{option}={path}: is a {kind} archive: needs to be unpacked first")
    opener = _of(start, PACKED)
    opened: IO[bytes] = opener(path, "rb") if opener else path.open("rb")
    return opened


def encoding_of(start: bytes) -> str:
    """Return the encoding of a text by its first bytes; without a mark UTF-8, if none are 0."""
    if marked := _of(start, MARKS):
        return str(marked)
    even, odd = start[:4:2], start[1:4:2]
    if any(even) and odd == b"\0\0":
        return "utf-16-le"
    return "utf-16-be" if any(odd) and even == b"\0\0" else "utf-8"


def _of(start: bytes, kinds: dict[bytes, Any]) -> Any:
    return next((kind for mark, kind in kinds.items() if start.startswith(mark)), None)
