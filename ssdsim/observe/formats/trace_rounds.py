"""A neutral table of rounds: what each committed, and how sure the draft was of its tokens."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from ssdsim.observe.files import Source
from ssdsim.observe.formats.base import known, missing
from ssdsim.observe.numbers import number
from ssdsim.observe.told import RoundCounts, Told

COMMITS, SURE = "commits", "a"


@dataclass(frozen=True)
class TraceRounds:
    """Columns `commits,category,a0,...`: drafts accepted, the bonus not counted."""

    title: ClassVar[str] = "table of rounds"
    key: ClassVar[str] = "trace_rounds.csv"

    def recognises(self, source: Source) -> bool:
        """Return whether the table has a column of commits."""
        return COMMITS in source.columns

    def read(self, sources: Sequence[Source]) -> Told:
        """Return the rates over all rounds; as many drafts a round as it has columns a0, a1, ..."""
        counts, read, unread = RoundCounts(), 0, 0
        accepted = Counter[float]()
        drafted = max(map(_drafted, sources))
        for row in (row for source in sources for row in source.rows()):
            try:
                accepted[_finite(row[COMMITS])] += 1
                read += 1
            except (ValueError, KeyError):
                unread += 1
        K = drafted or int(max(accepted, default=0))
        if not K or not accepted:
            raise missing(sources, "no round, or none that says what was drafted (columns a0, a1)")
        if wrong := next((k for k in accepted if not 0 <= k <= K or k != int(k)), None):
            raise missing(sources, f"commits is {wrong:g} in a row: needs a whole number up to {K}")
        for k, n in accepted.items():
            counts.add(int(k), K, n)
        said = () if drafted else (f"K: the longest round accepted {K}",)
        return replace(counts.told(), unknown=said, read=read, unread=unread)

    def says(self, told: Told) -> dict[str, Any]:
        """Return the rates by position."""
        return known(p=[*told.positions], K=told.lookahead, tau=told.tau, rounds=int(told.rounds))


def _finite(text: str) -> float:
    value = number(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _drafted(source: Source) -> int:
    return sum(name[:1] == SURE and name[1:].isdigit() for name in source.columns)
