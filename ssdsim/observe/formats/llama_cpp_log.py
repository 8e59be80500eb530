"""The log of a llama.cpp server: lines after every request, of older and newer releases."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from ssdsim.observe.files import Source
from ssdsim.observe.formats.base import known, mean, missing
from ssdsim.observe.numbers import NUMBER, number, numbers, whole
from ssdsim.observe.thinned import Thinned
from ssdsim.observe.told import TimedPass, Told, conditional_of, rates_for

ACCEPTANCE = re.compile(
    rf"draft acceptance (?P<old>rate )?= *(?P<rate>{NUMBER})%? *"
    r"\( *(?P<accepted>\d+)(?: accepted)? */ *(?P<drafted>\d+)(?: generated)?\)"
    rf"(?:, mean (?:acceptance length|len) = *(?P<tau>{NUMBER}))?"
    r"(?:, acceptance rate per position = \((?P<positions>[^)]*)\))?"
)
POSITIONS = re.compile(r"acc per pos = \((?P<positions>[^)]*)\)")
"""A line of its own in newer releases, behind the one that it belongs to."""
EVALUATED = re.compile(rf"(prompt )?eval time = *({NUMBER}) ms / *(\d+) (?:tokens|runs)")
SLOT = re.compile(r"slot +[\w.]*: id +(\d+)")
STATISTICS = re.compile(r"statistics +([\w-]+) *: #calls(?:\(b,g,a\))? *= *([\d ]+)")
DURATION = re.compile(rf"dur\(b,g,a\) = *({NUMBER}), *({NUMBER}), *({NUMBER}) ms")
ENDS = 2
"""Tokens of a request that no whole round has made."""
SHARED = ("several slots answered: a round is longer where others were decoded beside it",)
MARKS = ("draft acceptance", "statistics ")


@dataclass(frozen=True)
class LlamaCppLog:
    """Acceptance of every request, its times, and what drafting took."""

    title: ClassVar[str] = "llama.cpp server log"
    key: ClassVar[str] = "llamacpp"

    def recognises(self, source: Source) -> bool:
        """Return whether there is such a line, or one with the times of a request."""
        of = (ACCEPTANCE, STATISTICS, EVALUATED)
        return any(pattern.search(line) for line in source.head for pattern in of)

    def read(self, sources: Sequence[Source]) -> Told:
        """Return the sums over all requests."""
        log = _Log()
        for source in sources:
            for line in source.lines():
                log.take(line)
        if not log.requests():
            raise missing(sources, "no line 'draft acceptance': the server does not speculate")
        return log.told()

    def says(self, told: Told) -> dict[str, Any]:
        """Return rounds, tokens a round, seconds, and those of drafting."""
        return known(
            rounds=round(told.rounds) or None,
            tau=told.tau,
            round_s=told.round_seconds,
            draft_s=told.draft_seconds,
            p=[*told.positions],
        )


@dataclass(frozen=True)
class _Request:
    """What a line says of a request; of older releases no mean and no positions."""

    accepted: int
    drafted: int
    tau: float | None
    positions: tuple[float, ...]

    @property
    def rounds(self) -> float | None:
        """Rounds with a draft; None where the line has no mean length above 1."""
        return round(self.accepted / (self.tau - 1)) if self.tau and self.tau > 1 else None


@dataclass
class _Statistics:
    """A drafter's counters since the server's start; a falling one is a restart."""

    calls: float = 0.0
    ms: float = 0.0
    last: tuple[float, float] = (0.0, 0.0)

    def take(self, calls: float, ms: float) -> None:
        """Add what has come since."""
        before = self.last if calls >= self.last[0] and ms >= self.last[1] else (0.0, 0.0)
        self.calls += calls - before[0]
        self.ms += ms - before[1]
        self.last = calls, ms


@dataclass
class _Log:
    """Everything that was read so far."""

    newer: Thinned[_Request] = field(default_factory=Thinned)
    older: Thinned[_Request] = field(default_factory=Thinned)
    drafters: dict[str, _Statistics] = field(default_factory=dict)
    seconds: float = 0.0
    tokens: float = 0.0
    waiting: dict[str, tuple[float, int]] = field(default_factory=dict)
    passes: Thinned[TimedPass] = field(default_factory=Thinned)
    slots: set[str] = field(default_factory=set)
    read: int = 0
    unread: int = 0

    def take(self, line: str) -> None:
        """Read a line."""
        if found := EVALUATED.search(line):
            self._evaluated(found, _slot(line))
        elif found := ACCEPTANCE.search(line):
            self._acceptance(found, _slot(line))
            self.slots.update(SLOT.findall(line))
        elif found := POSITIONS.search(line):
            self._positions(numbers(found["positions"]))
        elif found := STATISTICS.search(line):
            self._statistics(line, found)
        elif any(mark in line for mark in MARKS):
            self.unread += 1

    def requests(self) -> list[_Request]:
        """Return the requests; a release that prints both lines has each of them twice."""
        return self.newer.kept or self.older.kept

    def _evaluated(self, found: re.Match[str], slot: str) -> None:
        self.read += 1
        seconds, n = number(found[2]) / 1000, whole(found[3])
        if found[1]:
            self.passes.add(TimedPass(n, 0, 0, 0, seconds, 0))
        else:
            self.waiting[slot] = seconds, n

    def _acceptance(self, found: re.Match[str], slot: str) -> None:
        self.read += 1
        tau = number(found["tau"]) if found["tau"] else None
        positions = numbers(found["positions"] or "")
        request = _Request(whole(found["accepted"]), whole(found["drafted"]), tau, positions)
        (self.older if found["old"] else self.newer).add(request)
        if times := self.waiting.pop(slot, None) or self.waiting.pop("", None):
            seconds, n = times
            self.seconds += seconds
            self.tokens += n
            rounds = max(1.0, n - request.accepted)
            K = request.drafted / rounds
            self.passes.add(TimedPass(0, 1, K + 1, K, seconds / rounds, None, rounds))

    def _positions(self, rates: tuple[float, ...]) -> None:
        self.read += 1
        if self.newer.kept and not self.newer.kept[-1].positions:
            self.newer.kept[-1] = replace(self.newer.kept[-1], positions=rates)

    def _statistics(self, line: str, found: re.Match[str]) -> None:
        self.read += 1
        calls, times = found[2].split(), DURATION.search(line)
        drafted = float(calls[1] if len(calls) > 1 else calls[0])
        ms = number(times[2]) if times else 0.0
        self.drafters.setdefault(found[1], _Statistics()).take(drafted, ms)

    def told(self) -> Told:
        """Return what all lines tell together."""
        of = self.requests()
        accepted, drafted = sum(r.accepted for r in of), sum(r.drafted for r in of)
        known_rounds = [r.rounds for r in of]
        bonuses = self.tokens - accepted
        calls = min(self._calls(), bonuses) if self.tokens else self._calls()
        drafts = sum(n or 0.0 for n in known_rounds) if all(known_rounds) else calls
        rounds = _all_rounds(drafts, bonuses, len(of))
        tau, K = (1 + accepted / rounds, drafted / rounds) if rounds else (None, None)
        positions = _pooled(of, drafts / rounds if rounds else 1.0)
        calls, ms = self._calls(), sum(each.ms for each in self.drafters.values())
        return Told(
            rounds=rounds,
            lookahead=K,
            varies=K is not None and abs(K - round(K)) > 0.02 * K,
            tau=tau,
            positions=positions,
            conditional=conditional_of(positions) or (rates_for(tau, K) if tau and K else ()),
            round_seconds=self.seconds / rounds if self.tokens and rounds else None,
            draft_seconds=ms / 1000 / calls if calls and ms else None,
            requests=1.0,
            output_tokens=self.tokens / len(of) if self.tokens else None,
            passes=tuple(self.passes.kept),
            suspicious=SHARED if len(self.slots) > 1 else (),
            unknown=tuple(self._unknown(rounds, positions)),
            read=self.read,
            unread=self.unread,
        )

    def _calls(self) -> float:
        """Return the rounds: of several drafters each is asked until one has a draft."""
        return max((each.calls for each in self.drafters.values()), default=0.0)

    def _unknown(self, rounds: float, positions: Sequence[float]) -> list[str]:
        said = []
        if not rounds:
            said.append("rounds: no mean length, no eval time and no statistics")
        if not positions:
            said.append("acceptance by position: this release does not print it")
        if not self.tokens:
            said.append("seconds of a round: no line 'eval time'")
        return said


def _slot(line: str) -> str:
    """Return which slot a line is of; empty in older releases, which say it in the line before."""
    found = SLOT.search(line)
    return found[1] if found else ""


def _all_rounds(drafts: float, bonuses: float, requests: int) -> float:
    """Return the rounds: those with a draft, and where a lookup found nothing, those without.

    A request's first token is its prefill's and its last round may be cut: so many more tokens
    than drafts make no further rounds.
    """
    return drafts if drafts and bonuses - drafts <= ENDS * requests else max(drafts, bonuses)


def _pooled(of: Sequence[_Request], covered: float) -> tuple[float, ...]:
    """Return shares of all rounds by position; `covered`: the share of rounds with a draft."""
    told = [r for r in of if r.positions and r.rounds]
    most = max((len(r.positions) for r in told), default=0)
    weights = [r.rounds or 0.0 for r in told]
    shares = [
        mean([r.positions[j] if j < len(r.positions) else 0.0 for r in told], weights) or 0.0
        for j in range(most)
    ]
    return tuple(share * covered for share in shares)
