"""Opens what users have: text in any encoding, packed or not, as lines, records or a table."""

import csv
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from ssdsim.errors import ConfigError, require
from ssdsim.observe.collectors import EVENTS, is_wrapped, text_of
from ssdsim.observe.packed import FAULTS, encoding_of, unpacked

OPTION = "--from"
HEAD = 50_000
"""Lines in which a format has to show itself."""
RECORDS = 5_000
"""Records in which it has to."""
_CUT = re.compile(r"(?<![\d.,])\d+[.,]?$")
"""A number without decimals at the very end of a file without a last line end: it may be cut."""
_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_JSON = re.compile(r"\s*(?:data:\s*)?(?:\{\s*[\"}]|\[\s*(?:[\[{]|\"\{))")
"""How a document, or a line of one, begins: log lines begin with a bracket, too."""
_CHUNK = re.compile(r"\s*(?:(?:event|id|retry):.*\n|:.*\n|\s*\n)*data:")
"""How server-sent events begin: comments and other fields may stand before the first."""
_STREAM = re.compile(r"(?:event|id|retry):|:")
"""What stands between them."""
_END = "[DONE]"
"""How a streamed answer ends."""

Record = dict[str, Any]


@dataclass(frozen=True)
class Source:
    """A file that an engine or a tool has left."""

    path: Path

    @contextmanager
    def opened(self) -> Iterator[TextIO]:
        """Open it as text; what cannot be decoded is replaced.

        Raises
        ------
        ConfigError
            It cannot be read.

        """
        try:
            with (
                unpacked(self.path, OPTION) as file,
                TextIOWrapper(file, encoding=self._encoding, errors="replace") as text,
            ):
                yield text
        except FAULTS as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise ConfigError(f"{OPTION}={self.path}: cannot be read ({reason})") from error

    def lines(self) -> Iterator[str]:
        """Yield its lines without colours; of a collector's records the text in them."""
        for line in self._texts():
            bare = _COLOURS.sub("", line) if "\x1b" in line else line
            yield bare.rstrip("\n") if bare.endswith("\n") else _CUT.sub("", bare)

    def records(self) -> Iterator[Record | None]:
        """Yield its JSON objects, one a line or one document; None where one cannot be read.

        An empty one where a streamed answer has ended. Of a log, which has other lines as well,
        those that stand in lines of their own.
        """
        if self._looks_like_json and not self._a_record_a_line:
            yield from self._documents()
            return
        with self.opened() as text:
            for line in text:
                yield from self._record(line)

    def _record(self, line: str) -> Iterator[Record | None]:
        bare = line.strip().removeprefix("data:").strip()
        if bare == _END:
            yield {}
        elif bare.startswith("{") or (self._is_json and bare and not _STREAM.match(bare)):
            yield from _objects(_parsed(bare))

    def rows(self) -> Iterator[dict[str, str]]:
        """Yield the rows of a table with a head in small letters; of a row that was cut, nothing.

        Whatever separates its columns.
        """
        with self.opened() as text:
            plain = filter(_is_row, text)
            for row in csv.DictReader(plain, delimiter=self._separator):
                whole = None not in row.values()
                yield {
                    (name or "").strip().lower(): value.strip()
                    for name, value in row.items()
                    if whole and isinstance(value, str)
                }

    @cached_property
    def streamed(self) -> bool:
        """Whether its records are the chunks of streamed answers, as servers send them."""
        return bool(_CHUNK.match(self._beginning))

    @cached_property
    def head(self) -> list[str]:
        """Its first lines."""
        return list(islice(self.lines(), HEAD))

    @cached_property
    def firsts(self) -> list[Record]:
        """Its first JSON objects: of streamed answers only the last chunks may tell anything."""
        inside = (record for line in self.head for record in self._record(line))
        found = self.records() if self._is_json else inside
        return [record for record in islice(found, RECORDS) if record]

    @cached_property
    def first(self) -> Record:
        """Its first JSON object; empty where it has none."""
        return next(iter(self.firsts), {})

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The heads of its columns in small letters; empty where it is no table."""
        start = next(filter(_is_row, self.head), "")
        if self._looks_like_json or not re.fullmatch(
            r"[\w .\"()/%-]*([,;\t][\w .\"()/%-]+)*", start
        ):
            return ()
        return tuple(name.strip(' "').lower() for name in start.split(self._separator))

    @cached_property
    def _beginning(self) -> str:
        with self.opened() as text:
            return text.read(1 << 16)

    @property
    def _looks_like_json(self) -> bool:
        return bool(_JSON.match(self._beginning))

    @cached_property
    def _a_record_a_line(self) -> bool:
        with self.opened() as text:
            lines = (line for line in text if line.strip())
            line = next((line for line in lines if not _STREAM.match(line)), "")
        found = _parsed(line.strip().removeprefix("data:").strip())
        return isinstance(found, dict) and EVENTS not in found

    @property
    def _is_json(self) -> bool:
        return self._looks_like_json or self.streamed

    @cached_property
    def _wrapped(self) -> bool:
        return self._looks_like_json and is_wrapped(next(self.records(), None))

    def _texts(self) -> Iterator[str]:
        """Yield its lines; of a collector's records those in them."""
        if self._wrapped and not self._a_record_a_line:
            yield from (f"{text_of(record)}\n" for record in self.records())
            return
        with self.opened() as text:
            for line in text:
                found = _parsed(line) if self._wrapped else None
                yield f"{text_of(found)}\n" if isinstance(found, dict) else line

    @cached_property
    def _separator(self) -> str:
        line = next(filter(_is_row, self._beginning.splitlines()), "")
        return max(",;\t", key=line.count)

    @cached_property
    def _encoding(self) -> str:
        with unpacked(self.path, OPTION) as file:
            return encoding_of(file.read(4))

    def _documents(self) -> Iterator[Record | None]:
        """Yield the objects of a document, or of several behind each other."""
        with self.opened() as text:
            rest = text.read().strip()
        decoder = json.JSONDecoder()
        while rest:
            try:
                found, end = decoder.raw_decode(rest)
            except ValueError as error:
                right = "ends in the middle of its JSON, or is none: needs the whole document"
                raise ConfigError(f"{OPTION}={self.path}: {right} ({error})") from error
            yield from _objects(found)
            rest = rest[end:].lstrip(", \n\r\t")


def sources(paths: Sequence[str]) -> list[Source]:
    """Return the files of a command line.

    Raises
    ------
    ConfigError
        One is missing, a directory, empty, or given twice.

    """
    found: list[Source] = []
    for path in map(Path, paths):
        require(path.is_file(), OPTION, str(path), "needs a file that is there")
        require(path.stat().st_size > 0, OPTION, str(path), "is empty")
        again = any(path.samefile(source.path) for source in found)
        require(not again, OPTION, str(path), "is given twice: its rounds would count double")
        found.append(Source(path))
    return found


def records_of(sources: Sequence[Source]) -> Iterator[Record]:
    """Yield the JSON objects of several files; empty ones of what cannot be read."""
    for source in sources:
        yield from (record or {} for record in source.records())


def _is_row(line: str) -> bool:
    """Return whether a line is of a table: no comment, and not what a spreadsheet writes first."""
    return bool(line.strip()) and not line.startswith(("#", "sep="))


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _objects(found: Any) -> Iterator[Record | None]:
    """Yield a document's objects: itself, or those of a list, which may be texts of JSON."""
    events = found.get(EVENTS) if isinstance(found, dict) else None
    listed = events if isinstance(events, list) else found
    for each in listed if isinstance(listed, list) else [listed]:
        own = _parsed(each) if isinstance(each, str) else each
        yield own if isinstance(own, dict) else None
