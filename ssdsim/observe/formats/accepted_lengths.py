"""Plain lists of accepted lengths: JSON lines or a table, per round or per position."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from ssdsim.observe.files import Source
from ssdsim.observe.formats.base import either, known, missing
from ssdsim.observe.numbers import number
from ssdsim.observe.told import RoundCounts, Told

ACCEPTED = (
    "accepted",
    "num_accepted",
    "accepted_tokens",
    "num_accepted_tokens",
    "n_accepted",
    "n_matches",
    "num_matches",
    "matches",
)
"""Drafts alone. The last three are what a callback in Hugging Face's assisted generation counts."""
LENGTH = (
    "accept_length",
    "acceptance_length",
    "accept_len",
    "accepted_length",
    "accept_lengths",
    "accepted_lengths",
    "acceptance_lengths",
)
"""The bonus token counted too."""
DRAFTED = (
    "drafted",
    "num_drafted",
    "draft_tokens",
    "num_draft_tokens",
    "n_drafted",
    "candidate_length",
    "num_assistant_tokens",
    "candidates",
)
PER_POSITION = "acc_"
"""SpecDecode-Bench: for every output position the tokens of a round that starts there."""


@dataclass(frozen=True)
class AcceptedLengths:
    """A number a round, a list of them a request, or a list with a number a position."""

    title: ClassVar[str] = "accepted lengths"
    key: ClassVar[str] = "accepted_lengths"

    def recognises(self, source: Source) -> bool:
        """Return whether the first record or the table's head has such a name, and no other's."""
        names = {*source.first, *source.columns}
        others = {"choices", "timings", "meta_info", "metrics", "iter", "commits"}
        others |= {"ttfts", "mean_ttft_ms"}
        ours = names & {*ACCEPTED, *LENGTH} or _per_position(source.first)
        return bool(ours) and not names & others

    def read(self, sources: Sequence[Source]) -> Told:
        """Return the rates over all rounds."""
        rounds, read, unread = Counter[tuple[float, float | None]](), 0, 0
        for source in sources:
            for row in source.rows() if source.columns else source.records():
                found = Counter(_rounds(row or {}))
                if wrong := next((pair for pair in found if not _can_be(*pair)), None):
                    raise missing(sources, _what_is_wrong(*wrong))
                read, unread = read + bool(found), unread + (not found)
                rounds.update(found)
        if not rounds:
            raise missing(sources, "no row has a number of accepted tokens")
        stated = {K for _, K in rounds if K}
        most = max(*stated, *(k for k, _ in rounds), 0)
        if not most:
            raise missing(sources, "no round accepted anything, and none says what was drafted")
        counts = RoundCounts()
        for (k, drafted), n in rounds.items():
            if drafted is None or drafted > 0:
                counts.add(int(k), int(drafted or most), n)
        return replace(
            counts.told(),
            unknown=() if stated else (f"K: the longest round accepted {most:g}",),
            read=read,
            unread=unread,
        )

    def says(self, told: Told) -> dict[str, Any]:
        """Return rounds, K, rates by position and tokens a round."""
        return known(rounds=int(told.rounds), K=told.lookahead, p=[*told.positions], tau=told.tau)


def _can_be(accepted: float, drafted: float | None) -> bool:
    return 0 <= accepted == int(accepted) and (drafted is None or accepted <= drafted)


def _what_is_wrong(accepted: float, drafted: float | None) -> str:
    if accepted != int(accepted):
        return f"a round accepted {accepted:g}: needs whole numbers, a round each, no means"
    if accepted < 0:
        return "a length of 0: needs the bonus token counted, or the name accepted where it is not"
    return f"a round accepted {accepted:g} of {drafted:g}: needs at most what was drafted"


def _rounds(row: Mapping[str, Any]) -> Iterator[tuple[float, float | None]]:
    """Yield the rounds of a row: drafts accepted, and drafts sent where that is said."""
    if name := _per_position(row):
        yield from ((length - 1, None) for length in _walked(row[name]))
        return
    own, length, drafted = either(row, *ACCEPTED), either(row, *LENGTH), either(row, *DRAFTED)
    accepted = _listed(own) if own is not None else [n - 1 for n in _listed(length)]
    sent = _listed(drafted)
    for at, k in enumerate(accepted):
        yield k, (sent[at] if len(sent) == len(accepted) else sent[0]) if sent else None


def _listed(value: Any) -> list[float]:
    """Return the numbers of a cell: one, or a list of them."""
    if value in {None, ""} if not isinstance(value, list) else not value:
        return []
    try:
        found = [number(str(each)) for each in (value if isinstance(value, list) else [value])]
    except ValueError:
        return []
    return found if all(map(math.isfinite, found)) else []


def _per_position(record: Mapping[str, Any]) -> str:
    """Return the entry that has a number a position; empty where there is none."""
    of = (n for n, v in record.items() if n.startswith(PER_POSITION) and isinstance(v, list))
    return next(of, "")


def _walked(lengths: Sequence[int]) -> Iterator[int]:
    """Yield the rounds that a request goes through, from the token behind the prefill's on."""
    at = 1
    while at < len(lengths):
        yield max(1, int(lengths[at]))
        at += max(1, int(lengths[at]))
