"""The older line of vLLM's V0 engine, whose counters go on from the server's start."""

import re
from dataclasses import dataclass, field

from ssdsim.observe.numbers import NUMBER, number, whole
from ssdsim.observe.servers import Counts
from ssdsim.observe.told import TimedPass, Told

V0 = re.compile(
    rf"Speculative metrics: Draft acceptance rate: (?P<rate>{NUMBER}), System efficiency: "
    rf"(?P<efficiency>{NUMBER}), Number of speculative tokens: (?P<K>\d+), Number of accepted "
    r"tokens(?: tokens)?: (?P<accepted>[\d.,']*\d), Number of draft tokens(?: tokens)?: "
    r"(?P<drafted>[\d.,']*\d), Number of emitted tokens(?: tokens)?: (?P<emitted>[\d.,']*\d)"
)
STAGES = re.compile(
    rf"average_time_per_proposal_tok_ms=({NUMBER})\s+scoring_time_ms=({NUMBER})\s+"
    rf"verification_time_ms=({NUMBER})"
)


@dataclass
class V0Counts:
    """Drafted and emitted tokens; a falling counter is a restart.

    Its accepted tokens count every position by itself, those behind a rejection too: what a round
    came to stands in the emitted ones alone.
    """

    lookahead: int = 0
    drafted: float = 0.0
    emitted: float = 0.0
    last: tuple[int, int] = (0, 0)
    counts: Counts = field(default_factory=Counts)

    def take(self, line: str) -> bool:
        """Read a line, if it is one."""
        found = V0.search(line)
        if not found:
            return False
        now = whole(found["drafted"]), whole(found["emitted"])
        self.counts.add(now[0])
        before = self.last if now[0] >= self.last[0] else (0, 0)
        self.drafted += now[0] - before[0]
        self.emitted += now[1] - before[1]
        self.lookahead, self.last = int(found["K"]), now
        return True

    @property
    def drafts(self) -> float:
        """Rounds with a draft."""
        return self.drafted / self.lookahead if self.lookahead else 0.0

    def told(self, stages: "StageTimes", read: int, unread: int, kv: float | None) -> Told:
        """Return what they tell."""
        seconds = stages.round(self.lookahead)
        return Told(
            rounds=self.drafts,
            lookahead=float(self.lookahead),
            tau=self.emitted / self.drafts,
            round_seconds=seconds,
            draft_seconds=stages.draft(self.lookahead),
            kv_per_request=kv,
            passes=(TimedPass(0, 1, self.lookahead + 1, self.lookahead, seconds),)
            if seconds
            else (),
            unknown=("acceptance by position: V0 does not count it",),
            read=read,
            unread=unread,
        )


@dataclass
class StageTimes:
    """Seconds of the stages of a round, as V0 prints them."""

    seen: list[tuple[float, float, float]] = field(default_factory=list)

    def take(self, line: str) -> bool:
        """Read a line, if it is one."""
        found = STAGES.search(line)
        if found:
            a, b, c = (number(text) / 1000 for text in found.groups())
            self.seen.append((a, b, c))
        return bool(found)

    def draft(self, lookahead: int) -> float | None:
        """Return the seconds of drafting."""
        if not self.seen:
            return None
        return lookahead * sum(each[0] for each in self.seen) / len(self.seen)

    def round(self, lookahead: int) -> float | None:
        """Return the seconds of a round."""
        drafting = self.draft(lookahead)
        if drafting is None:
            return None
        return drafting + sum(each[1] + each[2] for each in self.seen) / len(self.seen)
