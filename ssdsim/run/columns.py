"""The columns of rounds and spans that metrics are made of, as arrays.

They come from a table, or from rows that nobody has made a table of: a simulation that is asked for
its metrics alone then pays for no table.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Rows: TypeAlias = pa.Table | Sequence[Any]
"""A table, or objects that have an attribute a column."""

IDLE = frozenset({"wait", "transfer"})
DRAFTING = frozenset({"speculate", "prespeculate"})
VERIFIES = frozenset({"verify"})


@dataclass(frozen=True)
class Columns:
    """Arrays of one length."""

    start: Floats
    end: Floats

    def __len__(self) -> int:
        """Return the rows."""
        return len(self.end)

    def where(self, chosen: Bools) -> Self:
        """Return the rows that are chosen."""
        return type(self)(*(getattr(self, f.name)[chosen] for f in fields(self)))

    def with_later(self, later: Self) -> Self:
        """Return these rows, and others behind them."""
        pairs = ((getattr(self, f.name), getattr(later, f.name)) for f in fields(self))
        return type(self)(*map(np.concatenate, pairs))


@dataclass(frozen=True)
class Rounds(Columns):
    """Rounds: `hit` is 1 or 0, or NaN where nothing had been predicted."""

    seq: Floats
    accepted: Floats
    hit: Floats

    @classmethod
    def of(cls, rows: Rows) -> Self:
        """Take the columns of a table or of rows."""
        return cls(*(_numbers(rows, f.name) for f in fields(cls)))


@dataclass(frozen=True)
class Spans(Columns):
    """Spans, and what each is.

    Attributes
    ----------
    tokens, used
        Tokens computed, and those of them that reached the output.
    lane
        Whose it is, as text.
    working, drafting, verifying
        Whether it is work at all (waiting and messages are none), a draft's drafting, a verify.

    """

    tokens: Floats
    used: Floats
    lane: npt.NDArray[np.object_]
    working: Bools
    drafting: Bools
    verifying: Bools

    @classmethod
    def of(cls, rows: Rows) -> Self:
        """Take the columns of a table or of rows."""
        lane = np.array(_values(rows, "lane"), dtype=object)
        kind = np.array(_values(rows, "kind"), dtype=object)
        drafts = among(lane, {name for name in set(lane) if name.startswith("draft")})
        return cls(
            **{name: _numbers(rows, name) for name in ("start", "end", "tokens", "used")},
            lane=lane,
            working=~among(kind, IDLE),
            drafting=drafts & among(kind, DRAFTING),
            verifying=among(kind, VERIFIES),
        )


def among(texts: npt.NDArray[np.object_], wanted: frozenset[str] | set[str]) -> Bools:
    """Return which of the texts are wanted."""
    return np.fromiter(map(wanted.__contains__, texts), np.bool_, len(texts))


def _numbers(rows: Rows, name: str) -> Floats:
    """Return a column as numbers; a null is NaN."""
    return np.array(_values(rows, name), dtype=np.float64)


def _values(rows: Rows, name: str) -> Any:
    if isinstance(rows, pa.Table):
        return rows[name].to_numpy() if len(rows) else ()
    return list(map(attrgetter(name), rows))
