"""Whether lines that one server writes at a steady beat come at two, in turns."""

import re
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

CLOCK = re.compile(r"\b(\d\d):(\d\d):(\d\d)\b")
DAY = 86_400
ENOUGH = 6
"""Gaps between lines that show a beat."""
MOST = 1_000
APART = 2.0
"""Seconds by which the two gaps of two servers differ, and by which one server's never do."""
STEADY = 0.9


@dataclass
class Beat:
    """When lines of one engine were written, in seconds of the day."""

    times: list[int] = field(default_factory=list)

    def add(self, line: str) -> None:
        """Take the next line, if it has a time."""
        found = CLOCK.search(line)
        if found and len(self.times) < MOST:
            hours, minutes, seconds = map(int, found.groups())
            self.times.append(3600 * hours + 60 * minutes + seconds)

    @property
    def doubled(self) -> str:
        """What to say if a short and a long gap take turns; empty if not."""
        gaps = [(after - before) % DAY for before, after in pairwise(self.times)]
        if len(gaps) < ENOUGH:
            return ""
        turns = gaps[::2], gaps[1::2]
        usual = median(turns[0]), median(turns[1])
        near = sum(abs(g - m) < APART for of, m in zip(turns, usual, strict=True) for g in of)
        if abs(usual[0] - usual[1]) <= APART or near < STEADY * len(gaps):
            return ""
        return (
            f"lines of an engine come {usual[0]:g} and {usual[1]:g} s apart in turns: "
            "are two servers in this log?"
        )
