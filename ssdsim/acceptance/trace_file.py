"""Reads and writes an acceptance trace: per position, what a pair of models would accept.

A directory with `acceptance.parquet` and `run.json`. The table has a row a position of a text that
the target generated; its rows stand in order within each text (`prompt`, `temperature`,
`coupling`), `position` counting from 0 at the prompt's end. Of `run.json` these entries are read,
each where it is there:

`saguaro_grid`
    [[C, F], ...], the settings that the lists `saguaro_a` and `saguaro_e` are for; without it
    those two columns are not needed, and Saguaro sampling cannot be replayed.
`exit_layers`
    At most four layers of the target, the shallowest first: `exit_ids` and `exit_p` list the early
    views' best tokens, as many for each, one layer after the other. Else they are not needed.
`vocabulary`
    The number of token ids; without it, one more than the greatest id in the table.
`prompts`
    {prompt name: [token ids]}; without it, n-gram drafts look at the recorded outputs alone.

Why these columns suffice to replay every chain draft is said in docs/acceptance_trace.md.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssdsim.acceptance.trace_checks import EXITS, SAGUARO, AcceptanceTrace, check, require_of
from ssdsim.errors import ConfigError
from ssdsim.system.atomic_files import replacing

TABLE = "acceptance.parquet"
INFO = "run.json"

_COLUMNS = {
    "prompt": "string",
    "kind": "string",
    "temperature": "float64",
    "coupling": "string",
    "position": "int32",
    "token": "int32",
    "rank": "int32",
    "a": "float64",
    "e": "float64",
    "logp": "float32",
    "logq": "float32",
    "top_ids": "int32",
    "top_q": "float32",
    "top_p": "float32",
    "saguaro_a": "float32",
    "saguaro_e": "float32",
    "exit_ids": "int32",
    "exit_p": "float32",
}
_LISTS = ("top_ids", "top_q", "top_p", *SAGUARO, *EXITS)


def write_trace(
    directory: str | Path,
    rows: Sequence[Mapping[str, Any]],
    *,
    grid: Sequence[tuple[float, int]],
    vocabulary: int,
    prompts: Mapping[str, Sequence[int]],
    info: Mapping[str, Any] | None = None,
    exit_layers: Sequence[int] = (),
) -> None:
    """Write a trace.

    Parameters
    ----------
    directory
        Made if missing.
    rows
        For every position a `position_row` with `prompt`, `kind`, `temperature`, `coupling` and
        `position` added, in order within each text.
    grid, vocabulary, prompts, exit_layers
        As in `AcceptanceTrace`.
    info
        What else `run.json` shall say (models, machine, versions).

    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    names = [name for name in _COLUMNS if exit_layers or name not in EXITS]
    columns = {name: pa.array([row[name] for row in rows], _arrow(name)) for name in names}
    own = {"saguaro_grid": grid, "vocabulary": vocabulary, "prompts": prompts}
    own |= {"exit_layers": exit_layers} if exit_layers else {}
    text = json.dumps({**(info or {}), **own}, indent=1) + "\n"
    with replacing(directory) as partial:
        table = partial(TABLE)
        pq.write_table(pa.table(columns), table, compression="zstd", **_encoding(names))
        partial(INFO).write_text(text, encoding="utf-8")


def _encoding(names: Sequence[str]) -> dict[str, list[str]]:
    """Return which columns parquet writes how, for a file that is small enough to commit.

    Numbers are hardly ever equal, but their bytes of the same place are alike: signs and exponents
    compress well once they stand together. A dictionary serves only what repeats.
    """
    floats = {name for name, kind in _COLUMNS.items() if kind.startswith("float")}
    return {
        "use_byte_stream_split": [_leaf(name) for name in names if name in floats],
        "use_dictionary": [_leaf(name) for name in names if name not in floats],
    }


def _leaf(name: str) -> str:
    """Return what parquet calls the column of a list's values, or of a plain column."""
    return f"{name}.list.element" if name in _LISTS else name


def read_trace(directory: str | Path) -> AcceptanceTrace:
    """Read and check a trace.

    Raises
    ------
    ConfigError
        A file is missing or is not what it should be, a column is missing, of another type, has
        nulls, NaN or values that cannot be, or there are no rows; in one line that names it.

    """
    directory = Path(directory)
    info = _read_info(directory / INFO)
    unneeded = SAGUARO * (not info["grid"]) + EXITS * (not info["exit_layers"])
    names = [name for name in _COLUMNS if name not in unneeded]
    columns = _read_table(directory / TABLE, names)
    greatest = max(int(columns[name].max(initial=0)) for name in ("token", "top_ids"))
    trace = AcceptanceTrace(
        columns,
        grid=info["grid"],
        vocabulary=info["vocabulary"] or greatest + 1,
        prompts=info["prompts"] or {str(name): [] for name in set(columns["prompt"])},
        exit_layers=info["exit_layers"],
    )
    check(trace, directory / TABLE)
    return trace


def _read_info(file: Path) -> dict[str, Any]:
    try:
        info = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        prompts = info.get("prompts", {})
        return {
            "grid": tuple((float(C), int(F)) for C, F in info.get("saguaro_grid", ())),
            "exit_layers": tuple(map(int, info.get("exit_layers", ()))),
            "vocabulary": int(info.get("vocabulary", 0)),
            "prompts": {name: list(map(int, ids)) for name, ids in prompts.items()},
        }
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        right = "needs saguaro_grid [[C, F], ...], vocabulary and prompts {name: [ids]}"
        raise ConfigError(f"{file}: {right} ({error!r})") from error


def _read_table(file: Path, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(file)
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"{file}: not readable as an acceptance trace ({reason})") from error
    missing = [name for name in names if name not in table.column_names]
    require_of(not missing, file, f"columns missing: {missing}; needed are {list(names)}")
    require_of(table.num_rows > 0, file, "has no rows, must have one a recorded position")
    return {name: _column(table[name], name, file) for name in names}


def _column(column: Any, name: str, file: Path) -> NDArray[Any]:
    """Return a column as an array, lists as the rows of a matrix."""
    found, right = _family(column.type), _family(_arrow(name))
    fits = right in {found, found.replace("whole ", "")}
    require_of(fits, file, f"column {name!r} holds {found}, must hold {right}")
    require_of(column.null_count == 0, file, f"column {name!r} has nulls, must have none")
    shape: tuple[int, ...] = (len(column),)
    if name in _LISTS:
        column, width = _flatten(column, name, file)
        shape = (*shape, width)
    values: NDArray[Any] = column.to_numpy()
    nan = values.dtype.kind == "f" and bool(np.isnan(values).any())
    require_of(not nan, file, f"column {name!r} has NaN, must have numbers only")
    return values.reshape(shape)


def _flatten(column: Any, name: str, file: Path) -> tuple[Any, int]:
    """Return the values of all lists one after the other, and the lists' common length."""
    import pyarrow.compute as pc

    widths = pc.unique(pc.list_value_length(column)).to_pylist()
    require_of(
        len(widths) == 1, file, f"column {name!r} has lists of lengths {widths}, must be one"
    )
    values = pc.list_flatten(column)
    require_of(values.null_count == 0, file, f"column {name!r} has nulls, must have none")
    return values, widths[0]


def _arrow(name: str) -> Any:
    """Return a column's pyarrow type."""
    import pyarrow as pa

    kind = pa.type_for_alias(_COLUMNS[name])
    return pa.list_(kind) if name in _LISTS else kind


def _family(kind: Any) -> str:
    """Return what a pyarrow type holds, whatever its width."""
    from pyarrow import types

    if types.is_list(kind) or types.is_large_list(kind):
        return f"lists of {_family(kind.value_type)}"
    if types.is_integer(kind):
        return "whole numbers"
    if types.is_floating(kind):
        return "numbers"
    return "text" if types.is_string(kind) or types.is_large_string(kind) else str(kind)
