"""Reads traces of requests: the public formats, told apart by their columns."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from math import isfinite
from pathlib import Path
from typing import Any

from ssdsim.errors import ConfigError
from ssdsim.workloads.base import Request


@dataclass(frozen=True)
class Format:
    """Where one kind of file has what.

    Attributes
    ----------
    name
        Whose it is.
    arrival, prompt_tokens, output_tokens
        Names of its columns.
    seconds
        How long one unit of its times is; None: they are dates.
    prefix
        The column with the ids of a prompt's blocks; None: there is none.

    """

    name: str
    arrival: str
    prompt_tokens: str
    output_tokens: str
    seconds: float | None = 1.0
    prefix: str | None = None


FORMATS = (
    Format("Azure", "TIMESTAMP", "ContextTokens", "GeneratedTokens", None),
    Format("BurstGPT", "Timestamp", "Request tokens", "Response tokens"),
    Format("Mooncake", "timestamp", "input_length", "output_length", 1e-3, "hash_ids"),
    Format("plain", "arrival", "prompt_tokens", "output_tokens"),
)
Line = tuple[int, dict[str, Any]]
"""Number of a line in its file, from 1, and its fields."""


def read_trace(path: str) -> tuple[Request, ...]:
    """Return the requests of a file, their arrivals counted from the first.

    Requests that got no token are left out: BurstGPT lists failed ones.

    Parameters
    ----------
    path
        A CSV, or JSON lines. Azure's, BurstGPT's and Mooncake's are known by their columns, and so
        is a plain one with `arrival` (seconds), `prompt_tokens`, `output_tokens`.

    Raises
    ------
    ConfigError
        It cannot be read, is of no known format, or a request comes before the one above it.

    """
    try:
        written = Path(path).stat().st_mtime_ns
        return _read(path, written)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"workload.path={path!r}: cannot be read ({reason})") from error


@lru_cache(maxsize=8)
def _read(path: str, written: int) -> tuple[Request, ...]:  # noqa: ARG001 - which version it is
    lines = _json_lines(path) if Path(path).suffix in {".jsonl", ".json"} else _csv_lines(path)
    found: list[Request] = []
    format_ = None
    for number, fields in lines:
        where = f"workload.path={path!r}: line {number}"
        format_ = format_ or _format(fields, where)
        request = _request(fields, format_, where)
        early = found[-1].arrival - request.arrival if found else 0.0
        if early > 0:
            raise ConfigError(f"{where}: is out of order, {early:g} s before the one above it")
        found.append(request)
    answered = [request for request in found if request.output_tokens]
    if not answered:
        raise ConfigError(f"workload.path={path!r}: needs a request with a token to decode")
    first = answered[0].arrival
    return tuple(replace(request, arrival=request.arrival - first) for request in answered)


def _csv_lines(path: str) -> Iterator[Line]:
    from csv import DictReader

    with Path(path).open(encoding="utf-8-sig", newline="") as file:
        reader = DictReader(file, skipinitialspace=True)
        for fields in reader:
            yield reader.line_num, fields


def _json_lines(path: str) -> Iterator[Line]:
    with Path(path).open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield number, _object(line, f"workload.path={path!r}: line {number}")


def _object(line: str, where: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{where}: is no JSON ({error.msg})") from error
    if not isinstance(found, dict):
        raise ConfigError(f"{where}: needs an object with fields, not {line.strip()[:40]!r}")
    return found


def _format(fields: dict[str, Any], where: str) -> Format:
    for format_ in FORMATS:
        if {format_.arrival, format_.prompt_tokens, format_.output_tokens} <= fields.keys():
            return format_
    known = "; ".join(
        f"{each.arrival}, {each.prompt_tokens}, {each.output_tokens} ({each.name})"
        for each in FORMATS
    )
    raise ConfigError(f"{where}: needs the columns of a known trace: {known}")


def _request(fields: dict[str, Any], format_: Format, where: str) -> Request:
    time = _seconds if format_.seconds is None else _finite
    blocks = fields.get(format_.prefix, ()) if format_.prefix else ()
    return Request(
        _number(fields, format_.arrival, time, where) * (format_.seconds or 1.0),
        int(_number(fields, format_.prompt_tokens, _tokens, where)),
        int(_number(fields, format_.output_tokens, _tokens, where)),
        tuple(blocks),
    )


def _number(fields: dict[str, Any], name: str, read: Callable[[Any], float], where: str) -> float:
    try:
        return read(fields.get(name))
    except (AttributeError, TypeError, ValueError) as error:
        raise ConfigError(f"{where}: {name}={fields.get(name)!r} is none") from error


def _finite(text: Any) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError(text)
    return number


def _tokens(text: Any) -> float:
    number = _finite(text)
    if number < 0 or number != int(number):
        raise ValueError(text)
    return number


def _seconds(text: str) -> float:
    """Return a date in seconds; Azure's have seven decimals, one more than Python reads."""
    from datetime import UTC, datetime

    date, _, fraction = text.partition(".")
    digits = fraction.partition("+")[0].rstrip("Z")
    moment = datetime.fromisoformat(date).replace(tzinfo=UTC)
    return moment.timestamp() + (float(f"0.{digits}") if digits else 0.0)
