"""Reads prompt files (text, JSON lines, JSON, Parquet, CSV) and turns prompts into tokens."""

import csv
import json
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from sys import maxsize
from typing import Any

from ssdreal.executor.prompt_fields import Turn, kind_of, label, turns_of
from ssdreal.executor.workload import Task
from ssdreal.models.tokenizers import encode_prompt
from ssdsim.errors import ConfigError, require
from ssdsim.system.package_data import CONF

DEFAULT = CONF / "prompts" / "default.jsonl"
LONGEST = 64 << 20
"""Bytes of a line, and of a JSON file that is read whole: more is no prompt."""

JSON_NAMES = {".json", ".jsonl", ".ndjson"}
Row = tuple[str, Any]
"""Where in its file something stands, and what it is: a value of JSON, or a `Prompt`."""


@dataclass(frozen=True)
class Prompt:
    """One prompt.

    Attributes
    ----------
    name, kind
        What it is called, which is its own among those of a file, and what it is about.
    text
        What the user says.
    before
        The turns of a conversation before that.
    field
        Of its record, which the text was read from; "line" where it is a plain line.

    """

    name: str
    kind: str
    text: str
    before: tuple[Turn, ...] = ()
    field: str = "line"


def read_prompts(file: str | None, count: int | None = None) -> list[Prompt]:
    """Return the first `count` prompts of a file, or all; None: of the project's own set.

    `.json` is a list of objects, `.parquet` and `.csv` a row a prompt, every other file a line a
    prompt: an object, or plain text. The fields that are read are `prompt_fields.FIELDS`; besides
    `name` (or `question_id`) and `kind` (or `category`). Nothing behind the last prompt wanted is
    read.

    Raises
    ------
    ConfigError
        The file cannot be read or holds too few prompts, or something else.

    """
    path = DEFAULT if file is None else Path(file)
    asked = f"prompts={path.name if file is None else file}"
    check_plain(asked, path)
    try:
        found = list(islice(_named(_rows(path)), None if count is None else min(count, maxsize)))
    except OSError as error:
        raise ConfigError(f"{asked}: cannot be read ({error.strerror or error})") from error
    except ConfigError as error:
        raise ConfigError(f"{asked}: {error}") from error
    if count is None and not found:
        raise ConfigError(f"{asked}: holds no prompt")
    enough = count is None or count <= len(found)
    require(enough, "workload.prompts", count, f"{path.name} holds {len(found)}")
    return found


def tokenized(prompts: Sequence[Prompt], model: str) -> list[Task]:
    """Return prompts as a model's tokens.

    Raises
    ------
    ConfigError
        The model's chat template has no place for a conversation.

    """
    return [Task(p.name, p.kind, encode_prompt(model, p.text, p.before), p.field) for p in prompts]


def check_plain(asked: str, path: Path) -> None:
    """Refuse what is no plain file, before it is opened: a pipe would be waited for.

    Raises
    ------
    ConfigError
        Beginning with `asked`, the option and its value.

    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:  # a path cannot hold every character
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{asked}: cannot be read ({reason})") from error
    what = "is a directory" if stat.S_ISDIR(mode) else "is a device, a pipe or a socket"
    if not stat.S_ISREG(mode):
        raise ConfigError(f"{asked}: {what}, needs a file")


def _named(rows: Iterator[Row]) -> Iterator[Prompt]:
    """Yield the prompts of a file; who has another's name, or none, is called by its place."""
    names: set[str] = set()
    for where, content in rows:
        try:
            prompt = _prompt(where, content)
        except ConfigError as error:
            raise ConfigError(f"{where} {error}") from error
        name = prompt.name
        while name in names:
            name = f"{name} ({where})"
        names.add(name)
        yield replace(prompt, name=name)


def _prompt(where: str, content: Any) -> Prompt:
    if isinstance(content, Prompt):
        return content
    if not isinstance(content, dict):
        raise ConfigError(f"is {kind_of(content)} of JSON; needs an object, or plain text")
    field, turns = turns_of(content)
    name = label(content, "name", "question_id") or where
    kind = label(content, "kind", "category") or "own"
    *before, last = turns
    for text in (name, kind, *(turn["content"] for turn in turns)):
        _check_whole(text)
    return Prompt(name, kind, last["content"], tuple(before), field)


def _check_whole(text: str) -> None:
    """Refuse half a character: JSON can spell it, but no model and no file can hold it."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ConfigError(f"has half of a surrogate pair, {text[error.start]!r}") from error


def _rows(path: Path) -> Iterator[Row]:
    """Return what a file holds, in the way its name says."""
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return _parquet(path)
    if suffix == ".csv":
        return _csv(path)
    if suffix == ".json" and path.stat().st_size <= LONGEST:
        return _json(path)
    return _contents(path)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    r"""Yield lines with their numbers. They end with \n or \r\n alone: JSON may hold all others."""
    with path.open("rb") as file:
        for number, line in enumerate(iter(lambda: file.readline(LONGEST + 1), b""), 1):
            if len(line) > LONGEST:
                raise ConfigError(f"line {number} is longer than {LONGEST >> 20} MB")
            yield number, _decoded(line, f"line {number}").removesuffix("\n").removesuffix("\r")


def _decoded(content: bytes, what: str) -> str:
    try:
        return content.decode().removeprefix("\ufeff")  # a mark that says UTF-8, not a character
    except UnicodeDecodeError as error:
        raise ConfigError(f"not a text file, {what} is not UTF-8") from error


def _contents(path: Path) -> Iterator[Row]:
    """Yield the lines that are not blank: objects or plain text."""
    begins = ("{", "[", '"') if path.suffix.lower() in JSON_NAMES else ("{",)
    for number, line in _lines(path):
        if line.strip():
            yield f"line {number}", _content(line, number, begins)


def _content(line: str, number: int, begins: tuple[str, ...]) -> Any:
    """Return a line as JSON; as a prompt of plain text if it does not begin like it and is none."""
    try:
        return json.loads(line.strip())
    except RecursionError as error:
        raise ConfigError(f"line {number} is JSON that nests too deep") from error
    except ValueError as error:
        if line.lstrip().startswith(begins):
            raise ConfigError(f"line {number} is not valid JSON ({error})") from error
        return Prompt(f"line {number}", "own", line)


def _json(path: Path) -> Iterator[Row]:
    """Yield the objects of a list, or the only one; or those of lines, if there are several."""
    try:
        found = json.loads(_decoded(path.read_bytes(), "it"))
    except RecursionError as error:
        raise ConfigError("is JSON that nests too deep") from error
    except json.JSONDecodeError as error:
        if error.msg != "Extra data":
            raise ConfigError(f"is not valid JSON ({error})") from error
        yield from _contents(path)
        return
    except ConfigError:
        raise
    except ValueError as error:  # a number of too many digits
        raise ConfigError(f"is not valid JSON ({error})") from error
    for number, content in enumerate(found if isinstance(found, list) else [found], 1):
        yield f"record {number}", content


def _csv(path: Path) -> Iterator[Row]:
    reader = csv.DictReader(line + "\n" for _, line in _lines(path))
    try:
        for row in reader:
            yield f"line {reader.line_num}", {name: row[name] or None for name in row if name}
    except csv.Error as error:
        raise ConfigError(f"line {reader.line_num} is not CSV ({error})") from error


def _parquet(path: Path) -> Iterator[Row]:
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    try:
        batches = ParquetFile(path).iter_batches(batch_size=64)
        rows = (row for batch in batches for row in batch.to_pylist())
        for number, row in enumerate(rows, 1):
            yield f"record {number}", row
    except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError(f"not readable as Parquet ({reason})") from error
