"""A neutral table of costs: seconds of a step by batch and drafted tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ssdsim.observe.files import Source
from ssdsim.observe.formats.base import known, missing
from ssdsim.observe.numbers import number
from ssdsim.observe.told import TimedPass, Told

COLUMNS = ("batch_size", "num_draft_tokens", "step_seconds")


@dataclass(frozen=True)
class MeasuredCost:
    """Columns `batch_size,num_draft_tokens,step_seconds`; 0 drafts: plain decoding."""

    title: ClassVar[str] = "table of costs"
    key: ClassVar[str] = "measured_cost.csv"

    def recognises(self, source: Source) -> bool:
        """Return whether the table has these columns."""
        return {*COLUMNS} <= {*source.columns}

    def read(self, sources: Sequence[Source]) -> Told:
        """Return a timed pass a row."""
        passes, unread = [], 0
        for cells in (row for source in sources for row in source.rows()):
            try:
                b, K, seconds = (number(cells[name]) for name in COLUMNS)
                passes.append(TimedPass(0, b, b * (K + 1), K, seconds))
            except (ValueError, KeyError):
                unread += 1
                continue
            if not (b > 0 and K >= 0 and seconds > 0):
                row = f"batch_size {b:g}, num_draft_tokens {K:g}, step_seconds {seconds:g}"
                raise missing(sources, f"{row}: needs a batch and seconds above 0")
        if not passes:
            raise missing(sources, "no row with three numbers")
        said = ("acceptance: costs say nothing of it",)
        return Told(passes=tuple(passes), unknown=said, read=len(passes), unread=unread)

    def says(self, told: Told) -> dict[str, Any]:
        """Return the rows: requests, drafts, seconds."""
        return known(steps=[[p.requests, p.drafted, p.seconds] for p in told.passes])
